#!/bin/sh
# A launcher whose worker is taken over while the file that PVE_OCI_TEST_SAYS names says what it is to say.
read -r saying <"$PVE_OCI_TEST_SAYS"
if [ "$saying" = nothing ]; then
    exec "$PVE_OCI_TEST_LAUNCHER" "$@"
fi
exec "${0%/*}/taken-over-worker.py" "$@"
