#!/bin/sh
# Makes a development CA and one server certificate, in this folder, from which git takes neither.
# Usage: certs/make.sh [NAME-OR-ADDRESS…]     (default: the names of the demonstration)
# A CA that is there already is used again, so a browser has to be told of it only once.
set -eu
umask 077
cd "$(dirname "$0")"

days_ca=825
days_server=90

command -v openssl >/dev/null 2>&1 || { echo "certs/make.sh: openssl is missing" >&2; exit 1; }
[ "$#" -gt 0 ] || set -- '*.portway.localhost' portway.localhost localhost 127.0.0.1 ::1

names=""
for name in "$@"; do
    case $name in
        *[!A-Za-z0-9.:*_-]*) echo "certs/make.sh: $name is neither a name nor an address" >&2; exit 2 ;;
        *:*) kind=IP ;;
        *[!0-9.]*) kind=DNS ;;
        *) kind=IP ;;
    esac
    names="$names${names:+,}$kind:$name"
done

if [ ! -e ca.key ] || [ ! -e ca.crt ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days "$days_ca" \
        -subj "/CN=Portway development CA" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca.key -out ca.crt 2>/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 \
    -subj "/CN=Portway development" -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
cat > "$work/server.ext" <<EOF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
EOF
openssl x509 -req -sha256 -days "$days_server" -in "$work/server.csr" -CA ca.crt -CAkey ca.key \
    -set_serial "0x$(openssl rand -hex 16)" -extfile "$work/server.ext" -out "$work/server.crt" 2>/dev/null
mv "$work/server.key" server.key
mv "$work/server.crt" server.crt
chmod 644 ca.crt server.crt

echo "certs/server.crt, certs/server.key: for $names, good for $days_server days"
echo "certs/ca.crt: what a client has to trust"
