//! Words that values are made of.

/// Splits a list.
macro_rules! words {
    ($($name:ident: $text:literal;)*) => { $(pub const $name: &str = $text;)* };
}

words! {
    FIRST: "Anna|Ben|Carla|David|Elena|Farid|Grace|Hugo|Ines|Jonas|Katya|Liam|Mei|Nadia|Omar|Paula|Quentin|Rosa|Samuel|Tara|Umberto|Vera|Walter|Xenia|Yusuf|Zoe|Amir|Bianca|Cyril|Dora|Emil|Freya|Gordon|Hana|Ivan|Julia|Kofi|Lena|Marco|Nora";
    LAST: "Schmidt|Okafor|Rossi|Nguyen|Petrov|Larsen|Garcia|Kim|Haddad|Novak|Murphy|Silva|Tanaka|Weber|Dubois|Kowalski|Andersson|Costa|Ivanova|Patel|Moreau|Jansen|Fischer|Romano|Yilmaz|Khan|Svensson|Lopez|Becker|Horvat|Walsh|Mbeki|Sato|Berg|Marin|Quinn|Popescu|Young|Stone|Field";
    LOGIN: "alice|bob|carol|dave|erin|frank|grace|heidi|ivan|judy|karl|laura|mallory|nina|oscar|peggy|quirin|rupert|sybil|trent|ursula|victor|wendy|xaver|yvonne|zach|admin|root|guest|backup|deploy|jsmith|mkhan|tlopez|ckim|rberg|sunny|wolfie|pixel|nightowl|stargazer|bluefox|kiwi|mango|papaya|turtle|falcon|badger|otter|lynx|m.mueller|s-lee";
    WORD: "amber|basil|cedar|delta|ember|flint|grove|harbor|indigo|jasper|kelp|lotus|maple|nickel|onyx|pearl|quartz|raven|saffron|topaz|umber|velvet|willow|xenon|yarrow|zinc|anchor|breeze|canyon|dune|echo|fjord|glacier|haven|island|jungle|knoll|lagoon|meadow|nebula|oasis|prairie|quarry|ridge|summit|tundra|valley|wharf|bridge|castle|market|garden|tower|mirror|rocket|saturn|violet|copper|marble|silver";
    CITY: "Hamburg|Lyon|Porto|Krakow|Oslo|Turin|Seville|Ghent|Malmo|Brno|Leeds|Cork|Basel|Graz|Utrecht|Tartu|Riga|Varna|Izmir|Haifa|Osaka|Busan|Hanoi|Perth|Quito|Lima|Austin|Boston|New York|San Jose|Santa Fe|Den Haag|Denver|Dallas|Montreal|Kigali|Accra|Tunis|Pune|Jaipur";
    COUNTRY: "France|Poland|Norway|Italy|Spain|Belgium|Sweden|Ireland|Austria|Estonia|Turkey|Israel|Japan|Vietnam|Peru|Canada|Ghana|India|South Korea|New Zealand";
    COMPANY: "Acme|Globex|Initech|Umbrella|Hooli|Stark Industries|Wayne Enterprises|Soylent|Tyrell|Cyberdyne|Wonka|Oscorp|Massive Dynamic|Vandelay|Dunder Mifflin|Aperture|Blue Sun|Monarch|Octan|Nakatomi|Gringotts|Pied Piper|Sirius Cybernetics|Virtucon|Zorg|Kramerica|Prestige Worldwide|Bluth|Sterling Cooper|Los Pollos";
    PRODUCT: "Oak Table|Desk Lamp|Garden Hose|Steel Kettle|Wool Blanket|Paper Clips|Running Shoes|Coffee Mug|Bike Pump|Camping Stove|Water Bottle|Toolbox|Umbrella|Headphones|Backpack|Keyboard|Rain Jacket|Chess Set|Picture Frame|Wall Clock|Yoga Mat|Ladder|Mirror|Hammer|Pillow|Curtain|Notebook|Scissors|Teapot|Candle";
    CATEGORY: "Furniture|Lighting|Garden|Kitchen|Textiles|Office|Sports|Outdoor|Tools|Electronics|Games|Decoration|Bath|Toys|Books|Music";
    QUEUE: "default|mail|billing|exports|thumbnails|webhooks|critical|imports|reports|cleanup|search-index|low|notifications";
    JOB: "SendInvoice|ResizeImage|SyncContacts|RebuildIndex|ExportReport|PurgeSessions|ChargeCard|NotifyUser|ImportFeed|RotateKeys|WarmCache|CompactLog|GeocodeAddress|TranscodeVideo|MergeProfiles";
    FLAG: "new_checkout|dark_mode|beta-search|retry.enabled|maxConnections|use_proxy|fast_path|strict_mode|session.timeout|legacyLogin|geo_lookup|http2|autoscale|verbose_errors|burst-limit|cache_ttl|price_rounding|weekend_surcharge";
    TENANT: "acme|globex|initech|hooli|tyrell|wonka|octan|bluth|zorg|virtucon|monarch|aperture";
    TABLE: "users|orders|order_items|invoices|sessions|products|audit_log|payments|addresses|tickets|events|messages|stations|readings";
    COLUMN: "id|name|email|created_at|status|price|amount|country|user_id|quantity|title|currency|updated_at|zip_code|sku|weight";
    REGION: "eu-west-1|us-east-2|ap-south-1|eu-central|us-west|sa-east-1|ap-northeast-1";
    TOPIC: "product-events|orders.v1|payments|audit|user-activity|price-changes|stock.updates|mail-outbox";
    NS: "default|kube-system|monitoring|shop|payments|staging|ingress|logging|team-a|team-blue";
    DEPLOYMENT: "frontend|cart|checkout|catalog|payment|redis|postgres|worker|mailer|search|gateway|auth";
    KIND: "pods|services|configmaps|secrets|ReplicaSet|Deployment|StatefulSet|Job|endpoints|nodes|ConfigMap";
    UNIT: "piece|box|kg|litre|pallet|metre|dozen|roll|bag|pair";
    MAILKIND: "welcome|invoice|password-reset|order_confirmation|shipping_notice|newsletter|reminder|refund";
    CACHENAME: "sessions|prices|images|translations|catalog|rates|permissions";
    ROLENAME: "editor|viewer|owner|ROLE_ADMIN|billing-admin|roles/storage.reader|auditor|support|ROLE_USER";
    LAYER: "clouds|rain|wind|pressure|temperature|radar|snow|lightning";
    CLUSTER: "users|orders|billing|search|images|reports|legacy|mobile-api";
    ENCODER: "x264|nvenc|x265|vp9|svt-av1|qsv";
    RENDITION: "240p|360p|480p|720p|1080p|audio-only";
    DEVICE: "pump-3|valve-12|motor-a|thermo_7|meter-19|relay-b|camera-front|gate-2|boiler|fan-left|iPhone|Pixel|Galaxy";
    SENSOR: "intake|outlet|ambient|coolant|exhaust|bearing|oil-pressure|humidity|co2";
    STAGE: "extract|normalize|dedupe|join_customers|aggregate|enrich|publish|score|validate_rows|snapshot";
    STREET: "Main Street 12|Elm Avenue 4|Station Road 77|Kirchgasse 3|Rue de la Paix 9|Via Roma 21|Park Lane 5|High Street 140|Mill Road 8|Calle Mayor 33|Lindenallee 17";
    TOUR: "north-1|north-2|harbour|airport|downtown|east|west-3|express";
    EVENTNAME: "UserJoined|UserLeft|MessageSent|RoomCreated|RoomClosed|FileShared|ReactionAdded|TypingStarted";
    ROUTENAME: "app_home|thread_show|post_edit|user_profile|login|logout|admin_dashboard|search|api_posts_get_collection";
    PHPCLASS: "App\\Message\\SendDigest|App\\Message\\IndexPost|App\\Message\\NotifyModerator|App\\Entity\\Thread|App\\Exception\\NotFound|Doctrine\\DBAL\\Exception";
    RUBYCTL: "TicketsController#index|TicketsController#show|TicketsController#update|SessionsController#create|CommentsController#create|DashboardController#index|Api::V1::TicketsController#index";
    RUBYMODEL: "User|Ticket|Comment|Customer|Session|Attachment|Tag";
    RUBYJOB: "NotifyJob|ArchiveJob|SlaCheckJob|ImportMailJob|ActiveStorage::AnalyzeJob";
    VIEW: "tickets/index.html.erb|tickets/show.html.erb|sessions/new.html.erb|comments/_form.html.erb|dashboard/index.html.erb";
    ERRNO: "Input/output error|No such device|Device or resource busy|Broken pipe|Resource temporarily unavailable";
    AGENT: "kubectl/v1.29.2 (linux/amd64)|kube-scheduler/v1.29.2|curl/8.5.0|Go-http-client/2.0|Prometheus/2.51.0|Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";
    CURRENCY: "EUR|USD|GBP|CHF|SEK|JPY|PLN|NOK|CZK";
    EXTENSION: "csv|pdf|png|jpg|json|xml|log|txt|xlsx|mp4";
    DOMAIN: "example.com|mail.example.org|static.acme.net|shop.globex.com|cdn.initech.io|news.hooli.xyz|api.wonka.co|auth.tyrell.ai|img.octan.eu|ns1.bluth.info|localhost|internal.corp";
    FIRSTDE: "Jürgen|Käthe|Günther|Sabine|Björn|Heike|Wolfgang|Ursula|Matthias|Renate|Dieter|Anneliese|Uwe|Jörg|Bärbel|Stefan";
    LASTDE: "Müller|Schröder|Weiß|Köhler|Jäger|Groß|Böhm|Kühn|Schäfer|Vogel|Lorenz|Pohl|Krämer|Günther|Roth|Busch";
    COURSEDE: "Einführung in die Statistik|Lineare Algebra|Datenbanken|Mittelalterliche Geschichte|Spanisch für Anfänger|Rhetorik|Buchführung|Künstliche Intelligenz|Töpfern";
    NOTE: "sehr gut|gut|befriedigend|ausreichend";
    COMPANYDE: "Müller & Söhne GmbH|Nordfracht AG|Bäckerei Klein|Stadtwerke Köln|Möbelhaus Berg|Autohaus Lehmann KG|Druckerei Süd|Weingut Hoffmann";
    PRODUCTDE: "Palette Ziegel|Kühlware|Stückgut|Gefahrgut Klasse 3|Möbel|Getränke|Elektronik|Papierrollen|Düngemittel";
    CITYDE: "Köln|München|Nürnberg|Düsseldorf|Leipzig|Würzburg|Lübeck|Saarbrücken|Kassel|Görlitz|Bremen|Aachen";
    SURNAMEZH: "王|李|张|刘|陈|杨|赵|黄|周|吴|徐|孙";
    GIVENZH: "伟|芳|娜|秀英|敏|静|丽|强|磊|军|洋|勇|艳|杰|娟|涛|明|超|秀兰|霞|平";
    CITYZH: "北京|上海|广州|深圳|杭州|成都|武汉|南京|西安|重庆";
    PRODUCTZH: "手机|笔记本电脑|耳机|充电器|键盘|鼠标|显示器|路由器|打印机|摄像头";
    COMPANYZH: "顺丰|中通|圆通|申通|韵达|京东物流";
    JOBZH: "库存盘点|订单清理|报表生成|数据同步|价格更新";
    DEPTZH: "内科|外科|儿科|眼科|骨科|皮肤科|神经内科|口腔科";
    DRUGZH: "阿莫西林|布洛芬|头孢克肟|甲硝唑|奥美拉唑|维生素C|氯雷他定";
}
