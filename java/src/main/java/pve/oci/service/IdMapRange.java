package pve.oci.service;

/**
 * A range of an ID map, as a line of /proc/PID/uid_map (user_namespaces(7)).
 *
 * @param inside first ID in the user namespace
 * @param outside first ID on the host
 * @param count how many consecutive IDs
 */
public record IdMapRange(long inside, long outside, long count) {
    @Override
    public String toString() {
        return inside + " " + outside + " " + count;
    }
}
