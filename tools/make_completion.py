#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the completions of shells for the program: FOLDER/entrollm for bash, FOLDER/_entrollm for zsh.

make_completion.py PROGRAM FOLDER

Commands, options and their values are those of the program's tables (command_tables.py); what a shell does with them
is the text below, which knows no name of a command or option.
"""
import os
import re
import sys

import command_tables

BASH = r"""# bash completion of entrollm. Made by tools/make_completion.py from the tables of the program.
# shellcheck shell=bash

# Of the command $1 ("": the program): the commands below it, its options, those that take a value, and what its
# operand may be as _entrollm_value says it.
_entrollm_command() {
  commands='' options='' valued='' has_operand=''
  case $1 in
@COMMANDS@
  esac
}

# What the value of the option $2 of the command $1 may be ($2 "": its operand): fixed words, endings of names of
# files, and "files" where any file will do, "folders" for folders.
_entrollm_value() {
  words='' endings='' kinds=''
  case $1:$2 in
@VALUES@
  esac
}

# Adds names of files that begin with $1. Folders are always among them: what is looked for may lie in one.
_entrollm_files() {
  local name ending typed=$1
  typed=${typed#[\"\']}
  typed=${typed//\\/}
  compopt -o filenames 2>/dev/null
  while IFS= read -r name; do
    if [[ -d ${name/#\~/$HOME} || $kinds == *files* ]]; then
      COMPREPLY+=("$name")
      continue
    fi
    for ending in $endings; do
      if [[ $name == *."$ending" ]]; then COMPREPLY+=("$name"); fi
    done
  done < <(compgen -f -- "$typed")
}

_entrollm_is_in() { [[ " $2 " == *" $1 "* ]]; }

# Answers with what begins with $1 of the words and files of _entrollm_value.
_entrollm_answer() {
  local IFS=$' \t\n' word
  for word in $words; do
    if [[ $word == "$1"* ]]; then COMPREPLY+=("$word"); fi
  done
  if [[ -n $endings$kinds ]]; then _entrollm_files "$1"; fi
}

_entrollm() {
  local IFS=$' \t\n' commands options valued has_operand words endings kinds
  local path='' pending='' operand='' ended='' word current i given=()
  # bash may have cut --name=value into three words
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ ${#given[@]} -gt 0 && ($word == = || ${given[-1]} == --*=) && ${given[-1]} == --* ]]; then
      given[-1]+=$word
    else
      given+=("$word")
    fi
  done
  current=${given[-1]-}
  COMPREPLY=()
  _entrollm_command ''
  for ((i = 0; i < ${#given[@]} - 1; i++)); do
    word=${given[i]}
    if [[ -n $pending ]]; then
      pending=''
    elif [[ -z $ended && $word == -- ]]; then
      ended=1
    elif [[ -z $ended && $word == -?* ]]; then
      if _entrollm_is_in "$word" "$valued"; then pending=$word; fi
    elif [[ -z $operand ]] && _entrollm_is_in "$word" "$commands"; then
      path=${path:+$path }$word
      _entrollm_command "$path"
    else
      operand=$word
    fi
  done
  if [[ -n $pending ]]; then
    _entrollm_value "$path" "$pending"
    _entrollm_answer "$current"
  elif [[ -z $ended && $current == --*=* ]]; then
    _entrollm_value "$path" "${current%%=*}"
    word=${current%%=*}=
    current=${current#*=}
    _entrollm_answer "$current"
    if [[ $COMP_WORDBREAKS != *=* ]]; then COMPREPLY=("${COMPREPLY[@]/#/$word}"); fi
  elif [[ -z $ended && $current == -* ]]; then
    words=$options endings='' kinds=''
    _entrollm_answer "$current"
  elif [[ -z $operand ]]; then
    _entrollm_value "$path" ''
    words="$words $commands"
    if [[ -z $commands$has_operand ]]; then words=$options; fi
    _entrollm_answer "$current"
  fi
}

complete -F _entrollm entrollm
"""

ZSH = r"""#compdef entrollm
# zsh completion of entrollm. Made by tools/make_completion.py from the tables of the program.

# Fixed words, endings of names of files (both separated by blanks), and "files" where any file will do or "folders".
_entrollm_value() {
  local ret=1
  if [[ -n $1 ]]; then compadd -- ${=1} && ret=0; fi
  if [[ $3 == *files* ]]; then
    _files && ret=0
  elif [[ -n $2 ]]; then
    _files -g "*.(${2// /|})(-.)" && ret=0
  elif [[ $3 == folders ]]; then
    _files -/ && ret=0
  fi
  return ret
}

@FUNCTIONS@
_entrollm "$@"
"""


def kinds(files, folders):
    return " ".join(w for w, given in (("files", files), ("folders", folders)) if given)


def quote(text):
    return "'" + text.replace("'", r"'\''") + "'"


def values(command):
    """(names of the option, (words, endings, kinds)) of all that take a value and of the operand, whose name is "" ."""
    for o in command.table["options"]:
        if "value" in o:
            words, endings, files, folders = command_tables.suggestions(o["name"], o["value"], o.get("suggest"),
                                                                        o["choices"])
            names = ["--" + o["name"]] + (["-" + o["letter"]] if o["letter"] else [])
            yield names, (" ".join(words), " ".join(endings), kinds(files, folders))
    operand = command_tables.operand(command)
    if operand:
        words, endings, files, folders = operand[1]
        yield [""], (" ".join(words), " ".join(endings), kinds(files, folders))


def bash(program):
    commands, rows = [], []
    for command in program.all():
        path = " ".join(command.path)
        options, valued = [], []
        for o in command.table["options"]:
            names = ["--" + o["name"]] + (["-" + o["letter"]] if o["letter"] else [])
            options += names
            valued += names if "value" in o else []
        commands += [f"    {quote(path)})", f"      commands={quote(' '.join(c.path[-1] for c in command.commands))}",
                     f"      options={quote(' '.join(options))}", f"      valued={quote(' '.join(valued))}"]
        commands += ["      has_operand=1"] if command_tables.operand(command) else []
        commands += ["      ;;"]
        for names, (words, endings, kind) in values(command):
            if words or endings or kind:
                patterns = " | ".join(quote(path + ":" + name) for name in names)
                rows.append(f"    {patterns}) words={quote(words)} endings={quote(endings)} kinds={quote(kind)} ;;")
    return BASH.replace("@COMMANDS@", "\n".join(commands)).replace("@VALUES@", "\n".join(rows))


def described(text):
    """Text between the brackets of a specification of _arguments."""
    return re.sub(r"([\[\]\\:])", r"\\\1", " ".join(text.split()))


def action(words, endings, kind):
    if not (words or endings or kind):
        return " "
    return f'{{_entrollm_value "{words}" "{endings}" "{kind}"}}'


def function(command):
    return "_".join(("_entrollm", *command.path)).replace("-", "_")


def specification(o, suggested):
    names = ["--" + o["name"]] + (["-" + o["letter"]] if o["letter"] else [])
    value = ""
    if "value" in o:
        value = ":" + described(o["value"]) + ":" + action(*suggested)
    text = quote(f"[{described(o['help'])}]{value}")
    shapes = ["--" + o["name"] + ("=" if value else "")]
    shapes += ["-" + o["letter"] + ("+" if value else "")] if o["letter"] else []
    first = "*" if o["kind"] == "list" else f"({' '.join(names)})" if len(names) > 1 else ""
    shape = "{" + ",".join(shapes) + "}" if len(shapes) > 1 else shapes[0]
    return (quote(first) if first else "") + shape + text


def zsh(program):
    functions = []
    for command in program.all():
        suggested = {names[0]: v for names, v in values(command)}
        rows = [specification(o, suggested.get("--" + o["name"])) for o in command.table["options"]]
        if "" in suggested:
            rows.append(quote(f"1:{described(command.table['operand'])}:{action(*suggested['']) }"))
        out = [f"{function(command)}() {{"]
        if command.commands:
            out += ['  local curcontext="$curcontext" state state_descr line ret=1', "  typeset -A opt_args",
                    "  local -a commands=("]
            out += [f"    {quote(c.path[-1] + ':' + ' '.join(c.summary.split()))}" for c in command.commands]
            rows += ["'1: :->command'", "'*:: :->arguments'"]
            out += ["  )", "  _arguments -C -s -S \\", *(f"    {row} \\" for row in rows), "    && ret=0",
                    "  case $state in",
                    "    command) _describe -t commands command commands && ret=0 ;;", "    arguments)",
                    "      case $words[1] in"]
            out += [f"        {c.path[-1]}) {function(c)} && ret=0 ;;" for c in command.commands]
            out += ["      esac", "      ;;", "  esac", "  return ret"]
        else:
            out += ["  _arguments -s -S \\", *(f"    {row}{'' if row is rows[-1] else ' ' + chr(92)}" for row in rows)]
        functions.append("\n".join([*out, "}", ""]))
    return ZSH.replace("@FUNCTIONS@", "\n".join(functions))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n\n")[1])
    program = command_tables.read(sys.argv[1])
    os.makedirs(sys.argv[2], exist_ok=True)
    for name, text in (("entrollm", bash(program)), ("_entrollm", zsh(program))):
        with open(os.path.join(sys.argv[2], name), "w", encoding="utf-8") as f:
            f.write(text)


if __name__ == "__main__":
    main()
