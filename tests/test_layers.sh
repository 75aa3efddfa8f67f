#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The layering of docs/ARCHITECTURE.md: a folder of src/ includes only what its
# row allows; the library never reads the environment, prints, or exits.
cd "$(dirname "$0")/.." || exit 1

declare -A allowed=(
  [base]=""
  [json]="base"
  [gguf]="base"
  [coder]="base"
  [quant]="base"
  [kernels]="base coder quant"
  [calib]="base coder quant kernels"
  [container]="base quant coder"
  [checkpoint]="base json"
  [source]="base json gguf container checkpoint"
  [arch]="base json"
  [text]="base json"
  [template]="base json text"
  [grammar]="base json text"
  [model]="base json coder kernels container source arch text"
  [generate]="base json text template grammar model"
  [tune]="base calib model"
  [convert]="base json coder quant kernels container checkpoint source text template model tune"
  [eval]="base json container text model"
  [bench]="base json coder quant kernels container source arch model convert"
  [program]=""
  [serve]="program"
  [hub]="program"
  [cli]="program serve hub"
  [mpi]="program cli"
)
n=0
result() { # status, name; details on standard input
  n=$((n + 1))
  if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else
    echo "not ok $n - $2"
    sed 's/^/# /'
  fi
}

for folder in src/*/; do
  layer=$(basename "$folder")
  if [ -z "${allowed[$layer]+known}" ]; then
    result 1 "src/$layer is a layer" <<<"src/$layer is not in the table of tests/test_layers.sh"
    continue
  fi
  wrong=
  while IFS= read -r line; do # file:include "layer/..."
    target=$(sed -E 's/.*"(\.\.\/)*([a-z_0-9]+)\/.*/\2/' <<<"$line")
    # a name that is no layer is a subfolder of this one
    [ -n "${allowed[$target]+known}" ] || continue
    [[ " $layer ${allowed[$layer]} " == *" $target "* ]] || wrong+="$line"$'\n'
  done < <(grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"[^"]*/' "$folder" \
    --include='*.[ch]' --include='*.inc')
  [ -z "$wrong" ]
  result $? "src/$layer includes only ${allowed[$layer]:-itself}" <<<"$wrong"
done

calls='\b(getenv|secure_getenv|exit|_exit|abort|printf|puts|putchar|perror|vprintf)[[:space:]]*\(|\b(stdout|stderr)\b'
wrong=$(grep -rnE "$calls" src \
  --include='*.[ch]' --include='*.inc' | grep -vE '^src/(cli|mpi)/|^[^:]*:[0-9]*:[[:space:]]*(\*|/\*|//)|__attribute__')
[ -z "$wrong" ]
result $? "the library never prints, exits or reads the environment" <<<"$wrong"

wrong=$(grep -rnE '"[^"]*(^|[^-[:alnum:]])--[a-z]' src --include='*.[ch]' | grep -vE '^src/(cli|mpi)/')
[ -z "$wrong" ]
result $? "messages of the library name no options of the program" <<<"$wrong"

wrong=$(git ls-files 2>/dev/null | xargs -r -d '\n' grep -lE '^<<<<<<<|^>>>>>>>' 2>/dev/null)
[ -z "$wrong" ]
result $? "no conflict marks" <<<"$wrong"

wrong=$(find src include tests fuzz -name '*.[ch]' -exec grep -L 'SPDX-License-Identifier: Apache-2.0' {} +)
[ -z "$wrong" ]
result $? "every C file names the license" <<<"$wrong"

wrong=$(find src include tests fuzz \( -name '*.[ch]' -o -name '*.py' -o -name '*.inc' \) \
  -exec awk 'END { if (NR > 1000) print FILENAME ": " NR " lines" }' {} \;)
[ -z "$wrong" ]
result $? "no file over 1000 lines" <<<"$wrong"
echo "1..$n"
