# Removes a folder once nobody holds the other end of the standard input: after the process that started this, however that ends.
# Who still writes into the folder may make it try again.
# Usage: sh remove_after.sh FOLDER
trap '' HUP INT TERM
cat >/dev/null
tries=0
until rm -rf -- "$1" || [ "$tries" = 600 ]; do
  tries=$((tries + 1))
  sleep 0.1
done
