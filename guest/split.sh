#!/bin/sh
# split.sh OBJCOPY ELFEDIT LINKED KERNEL DEBUG FULL: brand the linked guest as FreeBSD's (EI_OSABI 9) and split it.
#
# As FreeBSD's sys/conf/kern.post.mk does it: `kernel` loses its debug sections and keeps its symbol table.
set -eu
objcopy=$1 elfedit=$2 linked=$3 kernel=$4 debug=$5 full=$6

cp "$linked" "$full"
"$elfedit" --output-osabi FreeBSD "$full"
"$objcopy" --only-keep-debug "$full" "$debug"
chmod -x "$debug"
"$objcopy" --strip-debug --add-gnu-debuglink="$debug" "$full" "$kernel"
