# The host loop where there is no python3: POSIX sh (dash, busybox, bash). The console says what to run and when, one
# line per round, so no process is spent on sleeping. Lines: "r SEQ ID[:PID] ..." one round; "b SEQ ID[:PID]" beside
# the rounds; "h" heartbeat; "f" send all texts in full next time; "q" end. ID "+" waits a moment. PID is a process of that probe that did not end: while it lives, none is started.
# docs/reference/frame-format.md has the format.
LC_ALL=C TZ=UTC
PATH=${PATH:-/usr/bin:/bin}:$PATHS
export LC_ALL TZ PATH
umask 077
cd / || exit 1
marks=$(printf '\034\035\036\037.')
marks=${marks%.}
FS=${marks%???}
US=${marks#???}
RS=${marks#??}
RS=${RS%?}
GS=${marks#?}
GS=${GS%??}
NL='
'

# The tool's shell: stdout as it comes, then RS, the end of stderr and the exit status.
inner='exec 3>&1
e=$({ ( eval "$1" ); echo "S$?" >&2; } 2>&1 >&3 3>&- | tail -c 2048)
printf "\036%s" "$e"'

# Where there is no timeout(1): the same with a watchdog. stdin is handed on for the reader's sake.
watched() {
  limit_s=$1
  shift
  exec 5<&0
  "$@" <&5 &
  child=$!
  ( sleep "$limit_s"; kill "$child"; sleep 2; kill -9 "$child" ) </dev/null >/dev/null 2>&1 &
  dog=$!
  wait "$child"
  status=$?
  kill "$dog" 2>/dev/null
  return "$status"
}

if timeout -k 1 1 true 2>/dev/null; then
  limited='timeout -k 2'
elif timeout 1 true 2>/dev/null; then
  limited='timeout'
else
  limited='watched'
fi

# guard COMMAND SECONDS BYTES -> out, err, st (exit status), oc (outcome), pid. The reader has a time limit of its own,
# because a process in state D keeps the pipe open for ever and no signal reaches it.
guard() {
  got=$({ { $limited "$2" sh -c "$inner" sh "$1" 3>&- </dev/null & echo "$GS$!$GS" >&3; } 2>/dev/null |
    $limited $(($2 + 3)) head -c "$3"; printf .; } 3>&1 2>/dev/null)
  got=${got%.}
  out=${got%%"$GS"*}
  got=${got#*"$GS"}
  pid=${got%%"$GS"*}
  out=$out${got#*"$GS$NL"}
  oc=d st=-1 err=
  case $out in
  *"$RS"*S[0-9]*)
    err=${out##*"$RS"}
    out=${out%"$RS"*}
    st=${err##*S}
    err=${err%S*}
    [ "$st" = 127 ] && oc=m
    ;;
  *)
    if [ ${#out} -ge "$3" ]; then
      oc=c
      kill -9 "-$pid" || kill -9 "$pid"
    else
      oc=t
      if kill -9 "-$pid" || kill -9 "$pid"; then
        sleep 1
        ! lives "$pid" || oc=h err="process $pid does not end"
      fi
    fi 2>/dev/null
    ;;
  esac
  case $out$err in
  *["$marks"]*)
    out=$(printf %s. "$out" | tr -d '\034-\037')
    out=${out%.}
    err=$(printf %s "$err" | tr -d '\034-\037')
    ;;
  esac
}

# Does a process of this group live? A zombie nobody reaps does not count.
lives() {
  kill -0 "-$1" 2>/dev/null || kill -0 "$1" 2>/dev/null || return 1
  for file in /proc/[0-9]*/stat; do
    { read -r line <"$file"; } 2>/dev/null || continue
    # shellcheck disable=SC2086
    set -- "$1" ${line##*) }
    case $2 in Z | X) continue ;; esac
    [ "$4" != "$1" ] && [ "$file" != "/proc/$1/stat" ] || return 0
  done
  return 1
}

# Look once for all tools of this round that have not been looked for, by one guarded script.
look() {
  script=
  for word in "$@"; do
    id=${word%%:*}
    [ "$id" != + ] || continue
    eval "known=\$K$id detect=\$D$id"
    [ -n "$known" ] || [ -z "$detect" ] || script="$script
if ( $detect
) </dev/null >/dev/null 2>&1; then echo +$id; else echo -$id; fi"
  done
  [ -n "$script" ] || return 0
  guard "$script" 10 65536
  for word in $out; do
    case $word in
    +[0-9]*) eval "K${word#+}=y" ;;
    -[0-9]*) eval "K${word#-}=n" ;;
    esac
  done
}

now() {
  read -r up rest </proc/uptime || up=0.0
  up=${up%.*}${up#*.}
}

# ask ID[:PID]: append one section to body.
ask() {
  id=${1%%:*} old=
  case $1 in *:*) old=${1#*:} ;; esac
  eval "known=\$K$id detect=\$D$id command=\$C$id limit_s=\$T$id inline=\$I$id last=\$L$id"
  if [ -n "$detect" ] && [ "$known" != y ]; then
    eval "K$id="
    body="$body$GS$id n -1 0 f$NL"
    return
  fi
  if [ -n "$old" ] && lives "$old"; then
    body="$body$GS$id h -1 0 f$NL${FS}process $old does not end"
    return
  fi
  now
  began=$up
  if [ -n "$inline" ]; then
    oc=d err=
    out=$(eval "$command" 2>/dev/null)
    st=$?
  else
    guard "$command" "$limit_s" "$LIMIT"
    now
  fi
  [ "$oc" != m ] || eval "K$id="
  if [ -n "$last" ] && [ "$last" = "$oc$st$out$FS$err" ]; then
    body="$body$GS$id $oc $st $(((up - began) * 10)) s$NL"
  else
    eval "L$id=\$oc\$st\$out\$FS\$err"
    [ -z "$err" ] || err=$FS$err
    body="$body$GS$id $oc $st $(((up - began) * 10)) f$NL$out$err"
  fi
}

# say KIND SEQ: one frame, one write. The end mark and the length are the check here; "-" stands for no checksum.
say() {
  printf '%sF%s %s %d -\n%s%s\n' "$RS" "$1" "$2" ${#body} "$body" "$US"
}

run_round() {
  kind=$1 seq=$2
  shift 2
  body="- 0"
  look "$@"
  for word in "$@"; do
    case $word in
    +) sleep 0.25 2>/dev/null || sleep 1 ;;
    *) ask "$word" ;;
    esac
  done
  say "$kind" "$seq"
}

forget() {
  for id in $IDS; do
    eval "L$id="
  done
}

serve() {
  renice -n 10 -p $$ >/dev/null 2>&1
  body="sh pid $$"
  say H 0
  wait_s=
  if (echo | (read -r -t 1 word)) 2>/dev/null; then
    wait_s="-t $PATIENCE"
  fi
  # shellcheck disable=SC2086
  while read -r $wait_s word seq ids; do
    # shellcheck disable=SC2086
    case $word in
    r) run_round R "$seq" $ids ;;
    b) ( run_round L "$seq" $ids ) & ;;
    f) forget ;;
    q) break ;;
    esac
  done
}
