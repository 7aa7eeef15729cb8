# Starts nginx on a port: its configuration has no way to name one by the environment.
set -e
program=$1 port=$2
folder=$(mktemp -d "$(dirname "$SAMPLE_SEEN_FILE")/nginx-XXXXXX")
chmod 755 "$folder"
mkdir "$folder/files"
head -c 1024 /dev/zero | tr '\0' . > "$folder/files/page"
head -c 2000000 /dev/zero | tr '\0' x > "$folder/files/large"
sed -e "s|FOLDER|$folder|g" -e "s|PORT|$port|g" -e "s|RELEASE|$GAPLESS_RELEASE|g" -e "s|SEEN|$SAMPLE_SEEN_FILE|g" \
  nginx.conf.in > "$folder/nginx.conf"
[ "$(id -u)" = 0 ] && sed -i '1i user root;' "$folder/nginx.conf"
exec "$program" -p "$folder" -c "$folder/nginx.conf"
