package pve.oci.service;

import java.util.List;
import org.jspecify.annotations.Nullable;
import pve.oci.varlink.VarlinkException;

/**
 * The two ID maps of a user namespace; both are empty for a privileged container. The pool keeps spare workers for each
 * pair.
 *
 * @param onlyReads for jobs that write nothing: the worker has no capability, and no system call that changes a file
 */
public record IdMaps(IdMap uid, IdMap gid, boolean onlyReads) {
    private static final IdMap FIRST_CONTAINER = new IdMap(List.of(new IdMapRange(0, 100_000, 65_536)));

    /** PVE's own map for unprivileged containers. */
    public static final IdMaps DEFAULT = new IdMaps(FIRST_CONTAINER, FIRST_CONTAINER, false);

    /** For jobs without a root directory. Any map will do, as long as it does not hold the host's root. */
    static final IdMaps READING = new IdMaps(FIRST_CONTAINER, FIRST_CONTAINER, true);

    static IdMaps checked(List<IdMapRange> uid, List<IdMapRange> gid, ServiceSettings settings)
            throws VarlinkException {
        if (uid.isEmpty() != gid.isEmpty()) {
            throw OciErrors.invalidArgument(
                    uid.isEmpty() ? "uidMap" : "gidMap", "uidMap and gidMap must be given together");
        }
        return new IdMaps(
                IdMap.checked("uidMap", uid, settings.subordinateUids()),
                IdMap.checked("gidMap", gid, settings.subordinateGids()),
                false);
    }

    public boolean isPrivileged() {
        return uid.isEmpty();
    }

    // a record's own methods are made when they are first called, which takes longer than starting a process

    @Override
    public boolean equals(@Nullable Object other) {
        return other instanceof IdMaps maps && toString().equals(maps.toString());
    }

    @Override
    public int hashCode() {
        return toString().hashCode();
    }

    @Override
    public String toString() {
        return uid.asArgument() + " / " + gid.asArgument() + (onlyReads ? " / only reads" : "");
    }
}
