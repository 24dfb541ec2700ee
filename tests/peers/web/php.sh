#!/bin/sh
# The counter page with PHP-FPM behind nginx, as a peer in the benchmark:
#
#     php.sh PORT DIRECTORY
set -eu

port=$1
directory=$2
here=$(cd "$(dirname "$0")" && pwd)
# Debian's name of PHP-FPM has its version.
fpm=$(ls /usr/sbin/php-fpm* | tail -n 1)
as_root=
pool_user=
nginx_user=
if [ "$(id -u)" = 0 ]; then
    as_root=--allow-to-run-as-root
    pool_user="user = root"
    nginx_user="user root;"
fi
mkdir -p "$directory/sessions"

cat > "$directory/fpm.conf" <<FPM
[global]
error_log = $directory/fpm.log
[counter]
$pool_user
listen = $directory/fpm.sock
pm = static
pm.max_children = 4
php_admin_value[session.save_path] = $directory/sessions
FPM

cat > "$directory/nginx.conf" <<NGINX
daemon off;
$nginx_user
worker_processes auto;
pid $directory/nginx.pid;
error_log $directory/nginx.log;
events {}
http {
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path $directory/body;
    fastcgi_temp_path $directory/fastcgi;
    proxy_temp_path $directory/proxy;
    scgi_temp_path $directory/scgi;
    uwsgi_temp_path $directory/uwsgi;
    server {
        listen 127.0.0.1:$port;
        location / {
            include /etc/nginx/fastcgi_params;
            fastcgi_param SCRIPT_FILENAME $here/counter.php;
            fastcgi_pass unix:$directory/fpm.sock;
        }
    }
}
NGINX

"$fpm" --nodaemonize $as_root --fpm-config "$directory/fpm.conf" &
fpm=$!
while [ ! -S "$directory/fpm.sock" ]; do sleep 0.05; done
nginx -p "$directory" -c "$directory/nginx.conf" -e "$directory/nginx.log" &
nginx=$!
trap 'kill $fpm $nginx; wait' TERM
wait
