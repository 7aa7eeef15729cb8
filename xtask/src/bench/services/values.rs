//! Values as programs write them into their messages, by kind and by seed.

use super::pools;

/// SplitMix64 (Steele, Lea, Flood 2014): the same everywhere.
pub struct Dice(u64);

impl Dice {
    /// By seed.
    pub fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound.max(1))) >> 64) as u64
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// One of a list; the first ones more often, as names are in life.
    fn of(&mut self, list: &str) -> String {
        let items: Vec<&str> = list.split('|').collect();
        let uniform = self.below(1 << 20) as f64 / f64::from(1 << 20);
        items[(uniform * uniform * items.len() as f64) as usize].to_owned()
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.below(16) as u32, 16).unwrap_or('0')).collect()
    }

    fn letters(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count).map(|_| char::from(alphabet[self.below(alphabet.len() as u64) as usize])).collect()
    }

    /// A value of a kind; `{?kind}` where there is no such kind.
    pub fn value(&mut self, kind: &str) -> String {
        if let Some(choices) = kind.strip_prefix("enum:") {
            return self.of(choices);
        }
        if let Some(text) = self.number(kind) {
            return text;
        }
        if let Some(list) = list_of(kind) {
            return self.of(list);
        }
        self.made_up(kind).unwrap_or_else(|| format!("{{?{kind}}}"))
    }

    fn number(&mut self, kind: &str) -> Option<String> {
        Some(match kind {
            "int" => self.between(1, 99_999).to_string(),
            "small" => self.between(1, 60).to_string(),
            "big" => self.between(1_000_000, 1_999_999_999).to_string(),
            "float" => format!("{}.{:02}", self.between(0, 90), self.below(100)),
            "pct" => format!("{}%", self.between(1, 99)),
            "ms" => self.between(1, 3_000).to_string(),
            "dur" => match self.below(3) {
                0 => format!("{}ms", self.between(1, 900)),
                1 => format!("{}.{}s", self.between(1, 30), self.below(1_000)),
                _ => format!("{}m{}s", self.between(1, 9), self.below(60)),
            },
            "size" => format!("{}.{} {}", self.between(1, 900), self.below(10), self.of("KB|MB|GB")),
            "port" => self.between(1_024, 65_000).to_string(),
            "epoch" => self.between(1_700_000_000, 1_760_000_000).to_string(),
            "bool" => self.of("true|false"),
            "status" => self.of("200|200|200|201|204|304|404|500|503"),
            "money" => format!("{} {}.{:02}", self.of(pools::CURRENCY), self.between(1, 4_000), self.below(100)),
            "moneyde" => format!("{},{:02} €", self.between(10, 9_000), self.below(100)),
            "date" => format!("2026-{:02}-{:02}", self.between(1, 12), self.between(1, 28)),
            "time" => format!("{:02}:{:02}:{:02}", self.below(24), self.below(60), self.below(60)),
            _ => return None,
        })
    }

    fn made_up(&mut self, kind: &str) -> Option<String> {
        Some(match kind {
            "person" => format!("{} {}", self.of(pools::FIRST), self.of(pools::LAST)),
            "personde" => format!("{} {}", self.of(pools::FIRSTDE), self.of(pools::LASTDE)),
            "personzh" => self.of(pools::SURNAMEZH) + &self.of(pools::GIVENZH),
            "email" => format!("{}@{}", self.of(pools::LOGIN), self.of(pools::DOMAIN)),
            "hex8" => self.hex(8),
            "hexid" => self.letters(b"0123456789ABCDEF", 11),
            "uuid" => {
                format!("{}-{}-4{}-a{}-{}", self.hex(8), self.hex(4), self.hex(3), self.hex(3), self.hex(12))
            }
            "ip" => format!("10.{}.{}.{}", self.below(9), self.below(250), self.between(1, 250)),
            "ipport" => {
                format!("10.{}.{}.{}:{}", self.below(9), self.below(250), self.below(250), self.between(1024, 60000))
            }
            "host" => format!("{}-{}", self.of("web|db|cache|node|ip-10-0|worker"), self.between(1, 40)),
            "path" => format!("/{}/{}/{}", self.of("var|srv|data|opt"), self.of(pools::WORD), self.of(pools::WORD)),
            "file" => {
                let stem = self.of(pools::WORD);
                match self.below(3) {
                    0 => format!("{stem}.{}", self.of(pools::EXTENSION)),
                    1 => format!("{stem}-{}.{}", self.between(1, 900), self.of(pools::EXTENSION)),
                    _ => format!("{stem}_{}.{}", self.of(pools::WORD), self.of(pools::EXTENSION)),
                }
            }
            "url" => format!("https://{}/{}/{}", self.of(pools::DOMAIN), self.of(pools::TABLE), self.between(1, 9_999)),
            "query" => self.query(),
            "route" => match self.below(4) {
                0 => format!("/api/v1/{}", self.of(pools::TABLE)),
                1 => format!("/api/v1/{}/{}", self.of(pools::TABLE), self.between(1, 9_999)),
                2 => format!("/{}/{}", self.of(pools::TABLE), self.of(pools::WORD)),
                _ => format!("/{}", self.of("|health|login|metrics|search|cart")),
            },
            "b64" => {
                let count = self.between(5, 16) as usize * 4 - 2;
                self.letters(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", count) + "=="
            }
            "sql" => self.sql(),
            "hexdump" => (0..self.between(4, 9)).map(|_| self.hex(2)).collect::<Vec<_>>().join(" "),
            "pod" => format!(
                "{}-{}-{}",
                self.of(pools::DEPLOYMENT),
                self.hex(9),
                self.letters(b"bcdfghjklmnpqrstvwxz2456789", 5)
            ),
            "key" => format!("{}:{}", self.of("user|cart|price|session|feed"), self.of(pools::WORD)),
            "group" => self.of("apps/v1|v1|batch/v1|networking.k8s.io/v1"),
            "code" => {
                self.letters(b"ABCDEFGHJKLMNPQRSTUVWXYZ", 3) + &self.letters(b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789", 4)
            }
            "batch" => format!("{}-{:02}", self.of("nightly|settlement|eod|hourly|backfill"), self.between(1, 30)),
            "iban" => format!("DE{:020}", self.between(1, 1 << 60)),
            "sku" => format!("{}-{}", self.letters(b"ABCDEFGHJK", 3), self.between(100, 9_999)),
            "seat" => format!("{}{}", self.between(1, 40), self.of("A|B|C|D|E|F")),
            "flight" => format!("{}{}", self.of("LH|BA|AF|KL|SK|IB"), self.between(100, 2_000)),
            "plate" => {
                format!("{}-{} {}", self.of("HH|K|M|B|DA"), self.letters(b"ABCDEFGHJK", 2), self.between(10, 9_999))
            }
            "port2" => format!("/dev/tty{}{}", self.of("USB|S|ACM"), self.below(4)),
            "cron" => format!("{} {} * * {}", self.below(60), self.of("*|3|*/2|6"), self.of("*|1-5|0")),
            "statustext" => self.of("OK|OK|OK|Found|Not Found|Created"),
            "context" => format!("{{\"thread\":{},\"board\":\"{}\"}}", self.below(900), self.of(pools::WORD)),
            _ => return None,
        })
    }

    fn query(&mut self) -> String {
        let mut pairs = Vec::new();
        for _ in 0..self.between(1, 3) {
            let value = match self.below(3) {
                0 => self.between(1, 500).to_string(),
                1 => self.of(pools::WORD),
                _ => format!("{}%20{}", self.of(pools::WORD), self.of(pools::WORD)),
            };
            pairs.push(format!("{}={value}", self.of("page|q|sort|limit|lang|filter|cursor")));
        }
        pairs.join("&")
    }

    fn sql(&mut self) -> String {
        let (table, column) = (self.of(pools::TABLE), self.of(pools::COLUMN));
        match self.below(4) {
            0 => format!("SELECT {column}, {} FROM {table} WHERE id = ?", self.of(pools::COLUMN)),
            1 => format!("UPDATE {table} SET {column} = '{}' WHERE id = {}", self.of(pools::WORD), self.below(9_999)),
            2 => format!("SELECT \"{table}\".* FROM \"{table}\" WHERE \"{table}\".\"{column}\" = $1 LIMIT $2"),
            _ => format!("INSERT INTO {table} ({column}, {}) VALUES (?, ?)", self.of(pools::COLUMN)),
        }
    }
}

fn list_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "first" => pools::FIRST,
        "name" => pools::LOGIN,
        "word" => pools::WORD,
        "city" => pools::CITY,
        "country" => pools::COUNTRY,
        "company" => pools::COMPANY,
        "product" => pools::PRODUCT,
        "category" => pools::CATEGORY,
        "queue" => pools::QUEUE,
        "job" => pools::JOB,
        "flag" => pools::FLAG,
        "tenant" => pools::TENANT,
        "table" => pools::TABLE,
        "column" => pools::COLUMN,
        "bucket" => "gs://acme-exports|backup-eu|s3://raw-events|snapshots|invoices-archive|media",
        "region" => pools::REGION,
        "topic" => pools::TOPIC,
        "ns" => pools::NS,
        "deployment" => pools::DEPLOYMENT,
        "kind" => pools::KIND,
        "unit" => pools::UNIT,
        "mailkind" => pools::MAILKIND,
        "cachename" => pools::CACHENAME,
        "rolename" => pools::ROLENAME,
        "layer" => pools::LAYER,
        "cluster" => pools::CLUSTER,
        "encoder" => pools::ENCODER,
        "rendition" => pools::RENDITION,
        "device" => pools::DEVICE,
        "sensor" => pools::SENSOR,
        "stage" => pools::STAGE,
        "street" => pools::STREET,
        "tour" => pools::TOUR,
        "eventname" => pools::EVENTNAME,
        "routename" => pools::ROUTENAME,
        "phpclass" => pools::PHPCLASS,
        "rubyctl" => pools::RUBYCTL,
        "rubymodel" => pools::RUBYMODEL,
        "rubyjob" => pools::RUBYJOB,
        "view" => pools::VIEW,
        "errno" => pools::ERRNO,
        "agent" => pools::AGENT,
        "currency" => pools::CURRENCY,
        "domain" => pools::DOMAIN,
        "method" => "GET|GET|POST|PUT|DELETE|PATCH",
        "kursde" => pools::COURSEDE,
        "note" => pools::NOTE,
        "companyde" => pools::COMPANYDE,
        "productde" => pools::PRODUCTDE,
        "cityde" => pools::CITYDE,
        "cityzh" => pools::CITYZH,
        "productzh" => pools::PRODUCTZH,
        "companyzh" => pools::COMPANYZH,
        "jobzh" => pools::JOBZH,
        "deptzh" => pools::DEPTZH,
        "drugzh" => pools::DRUGZH,
        _ => return None,
    })
}
