#!/bin/bash
# results.sh DIR: writes ../results/compilers-mesa-VERSION.tsv, with what the compilers in DIR, which setup.sh has made, make
# of every plan for the layers of ../shapes/workloads.txt. Needs root, and the lab as lab.sh does; some minutes.
set -e
here=$(dirname "$(realpath "$0")")
dir=$(realpath "${1:?results.sh DIR}")
version=$(basename "$dir"/lab/src/mesa-*/)
version=${version#mesa-}
table=$here/../results/compilers-mesa-$version.tsv
written=$(mktemp)
trap 'rm -f "$written"' EXIT
cat > "$written" <<HEAD
# What the compilers of Mesa $version make of every plan for the layers of shapes/workloads.txt, as of commit $(git -C "$here" rev-parse --short HEAD).
# One line for each plan, best guess first. share: of the peak, in percent, that the inner loop of its product can reach at most, and what limits it;
# registers: of an invocation; spilled: as the driver counts; us: all launches, by a static model, at the usual clock: to rank plans. docs/hardware.md tells more.
gpu	dtype	layer	plan	share	limit	registers	spilled	us
HEAD
lines() { "$here/lab.sh" "$dir" "$1" results "$2" workloads >> "$written"; }
lines amd:navi21 "Radeon RX 6900 XT (RADV)"
lines amd:navi31 "Radeon RX 7900 XTX (RADV)"
lines intel:dg2 "Arc A770 (ANV)"
if [ -e "$dir/lab/build/src/freedreno/vulkan" ]; then lines adreno:730 "Adreno 730 (Turnip)"; fi
lines nvidia:172 "GeForce RTX 30 (NVK)"
cp "$written" "$table"
echo "$table"
