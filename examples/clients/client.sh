#!/bin/sh
# A client of pve-ocid in shell, with varlinkctl of systemd 255 or newer, and jq.
#
# usage: client.sh inspect ARCHIVE | extract ARCHIVE ROOTFS | cancel JOB
set -eu

address=unix:${PVE_OCI_SOCKET:-/run/pve-ocid/io.pve.oci}
varlinkctl=${VARLINKCTL:-varlinkctl} # a command, with its arguments
map='[{"inside": 0, "outside": 100000, "count": 65536}]'

# call OPTIONS METHOD PARAMETERS; --more prints a record for each reply, with RS before it
call() {
    # shellcheck disable=SC2086 # the first two are lists of words
    $varlinkctl call --json=short $1 "$address" "io.pve.oci.$2" "$3" | tr -d '\036'
}

case ${1:-} in
inspect)
    archive=$(realpath "$2")
    call '' InspectImage "$(jq -n --arg a "$archive" '{archivePath: $a}')" | jq .config
    ;;
extract)
    # Ctrl-C ends varlinkctl, its connection is closed, and the job is cancelled
    parameters=$(jq -n --arg a "$(realpath "$2")" --arg r "$(realpath "$3")" --argjson m "$map" \
        '{archivePath: $a, rootDirectory: $r, uidMap: $m, gidMap: $m}')
    call --more ParseAndExtractImage "$parameters" | jq -r --unbuffered '
        if .jobId then "job \(.jobId)"
        elif .result then "entries \(.result.entriesWritten)"
        elif .progress then .progress | "\(.phase) \(.bytesRead)/\(.bytesTotal)"
        else empty end'
    ;;
cancel)
    call '' CancelJob "$(jq -n --arg id "$2" '{id: $id}')" >/dev/null
    ;;
*)
    echo 'usage: client.sh inspect ARCHIVE | extract ARCHIVE ROOTFS | cancel JOB' >&2
    exit 2
    ;;
esac
