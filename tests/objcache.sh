#!/bin/sh
# Before the compiler of a simulation ($OBJCACHE of Verilator's makefile): what is the same for every
# core, Verilator's own library and the driver, is compiled once in a run of the tests.
#
#   objcache.sh FOLDER COMPILER ARGUMENT...
set -e
folder=$1
shift
for source; do :; done  # the last argument
name=$(basename "$source" .cpp)
case $name in
verilated*) ignored=-DBEAT_BITS= header= ;;
driver) ignored=-I header=Vsynq_top.h ;;  # the only one of the core that it includes
*) exec "$@" ;;
esac
# Where the files lie makes no difference, what they say does.
flags() { printf '%s\n' "$@" | grep -v -e / -e ^-I -e "^$ignored"; }
key=$({ flags "$@"; cat "$source" $header; } | cksum | tr ' ' -)
if [ ! -f "$folder/$name-$key.o" ]; then
    "$@"
    cp "$name.o" "$folder/$$"
    mv "$folder/$$" "$folder/$name-$key.o"
else
    cp "$folder/$name-$key.o" "$name.o"
fi
