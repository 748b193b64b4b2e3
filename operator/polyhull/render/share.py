"""Which files of a copy are one part's: a program for the shell and awk that rclone's image has (busybox)."""

from collections.abc import Sequence

from polyhull.domain.workloads import CopyPart

SCRIPT = """\
# share.sh SEEN SOURCE FROM TO OF ARGUMENTS-OF-RCLONE...
# All files of SOURCE stand in a row, by name. A part has those whose middle byte lies in [FROM, TO), where OF stands
# for all bytes of the row: every file is exactly one part's, and no part has more than its bytes and one file. SEEN
# is told the digest of the row.
seen=$1 source=$2 from=$3 to=$4 of=$5
shift 5
rclone lsf --recursive --files-only --format=sp --config=/dev/null --cache-dir=/tmp "$source" > "$HOME/listed"
LC_ALL=C sort -t ';' -k 2 "$HOME/listed" > "$HOME/row"
sha256sum < "$HOME/row" | cut -c 1-64 > "$seen"
LC_ALL=C awk -F ';' -v from="$from" -v to="$to" -v of="$of" '
    { size = $1 > 0 ? $1 + 0 : 0 }
    NR == FNR { all += size; next }
    { middle = all > 0 ? (before + size / 2) / all * of : 0; before += size }
    middle >= from + 0 && (middle < to + 0 || to + 0 >= of + 0) { print substr($0, index($0, ";") + 1) }
' "$HOME/row" "$HOME/row" > "$HOME/share"
[ -s "$HOME/share" ] || exit 0
exec rclone "$@" --files-from-raw="$HOME/share"
"""


def command(parts: Sequence[CopyPart], part: int, source: str, call: Sequence[str], seen: str) -> tuple[str, ...]:
    """The shell with the script, for one of `parts`; `call`: rclone's arguments, `seen`: where the digest goes."""
    before = sum(one.transfer_bytes for one in parts[:part])
    bounds = (before, before + parts[part].transfer_bytes, sum(one.transfer_bytes for one in parts))
    return ("/bin/sh", "-euc", SCRIPT, "share.sh", seen, source, *map(str, bounds), *call)
