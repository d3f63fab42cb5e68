package pve.oci.rootfs;

import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.linux.Timespec;

/**
 * Owner, permissions and modification time of a file or directory that is open.
 *
 * @param mode permissions, without the type
 */
public record FileMetadata(int mode, int uid, int gid, long seconds, int nanos) {
    /** Sets all of it on a new file, which root of the map has made with {@link #modeWithoutSetId} and written. */
    public void apply(Fd fd, Timespec times, boolean inheritsGroup) throws ErrnoException {
        setOwnerAndMode(fd, inheritsGroup, false);
        setTime(fd, times);
    }

    /**
     * Sets owner and mode, in this order: writing and chown(2) clear set-ID bits, and capabilities, which have to be
     * set after this.
     *
     * @param hasOtherOwner the owner may be another than root of the map
     * @param hasOtherMode the mode may be another than this one without set-ID bits
     */
    void setOwnerAndMode(Fd fd, boolean hasOtherOwner, boolean hasOtherMode) throws ErrnoException {
        if (uid != 0 || gid != 0 || hasOtherOwner) {
            Libc.fchown(fd.number(), uid, gid);
        }
        if ((mode & Libc.S_SET_ID) != 0 || hasOtherMode) {
            Libc.fchmod(fd.number(), mode);
        }
    }

    /** Comes last: writing sets the time too. */
    void setTime(Fd fd, Timespec times) throws ErrnoException {
        Libc.futimens(fd.number(), times.set(seconds, nanos));
    }

    /**
     * The mode to make the file with. It has no set-ID bits, so that nobody can run the file with the rights of root of
     * the map before its owner is set.
     */
    int modeWithoutSetId() {
        return mode & ~Libc.S_SET_ID & Libc.S_PERMISSIONS;
    }
}
