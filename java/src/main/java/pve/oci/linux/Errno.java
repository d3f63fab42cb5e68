package pve.oci.linux;

import java.util.Map;

/** Error numbers of errno(3), as Linux numbers them on every architecture that PVE runs on. */
public final class Errno {
    public static final int EPERM = 1;
    public static final int ENOENT = 2;
    public static final int EINTR = 4;
    public static final int EIO = 5;
    public static final int ENXIO = 6;
    public static final int EAGAIN = 11;
    public static final int EACCES = 13;
    public static final int EEXIST = 17;
    public static final int EXDEV = 18;
    public static final int ENOTDIR = 20;
    public static final int EISDIR = 21;
    public static final int EINVAL = 22;
    public static final int ENOSPC = 28;
    public static final int EROFS = 30;
    public static final int EMLINK = 31;
    public static final int ERANGE = 34;
    public static final int ENAMETOOLONG = 36;
    public static final int ENOTEMPTY = 39;
    public static final int ELOOP = 40;
    public static final int ENODATA = 61;
    public static final int EOPNOTSUPP = 95;
    public static final int EDQUOT = 122;
    public static final int ECONNRESET = 104;

    /** "NAME text" for each number, the text as strerror(3) in the C locale gives it. */
    private static final Map<Integer, String> TEXTS = Map.ofEntries(
            Map.entry(1, "EPERM Operation not permitted"),
            Map.entry(2, "ENOENT No such file or directory"),
            Map.entry(3, "ESRCH No such process"),
            Map.entry(4, "EINTR Interrupted system call"),
            Map.entry(5, "EIO Input/output error"),
            Map.entry(6, "ENXIO No such device or address"),
            Map.entry(7, "E2BIG Argument list too long"),
            Map.entry(8, "ENOEXEC Exec format error"),
            Map.entry(9, "EBADF Bad file descriptor"),
            Map.entry(10, "ECHILD No child processes"),
            Map.entry(11, "EAGAIN Resource temporarily unavailable"),
            Map.entry(12, "ENOMEM Cannot allocate memory"),
            Map.entry(13, "EACCES Permission denied"),
            Map.entry(14, "EFAULT Bad address"),
            Map.entry(15, "ENOTBLK Block device required"),
            Map.entry(16, "EBUSY Device or resource busy"),
            Map.entry(17, "EEXIST File exists"),
            Map.entry(18, "EXDEV Invalid cross-device link"),
            Map.entry(19, "ENODEV No such device"),
            Map.entry(20, "ENOTDIR Not a directory"),
            Map.entry(21, "EISDIR Is a directory"),
            Map.entry(22, "EINVAL Invalid argument"),
            Map.entry(23, "ENFILE Too many open files in system"),
            Map.entry(24, "EMFILE Too many open files"),
            Map.entry(25, "ENOTTY Inappropriate ioctl for device"),
            Map.entry(26, "ETXTBSY Text file busy"),
            Map.entry(27, "EFBIG File too large"),
            Map.entry(28, "ENOSPC No space left on device"),
            Map.entry(29, "ESPIPE Illegal seek"),
            Map.entry(30, "EROFS Read-only file system"),
            Map.entry(31, "EMLINK Too many links"),
            Map.entry(32, "EPIPE Broken pipe"),
            Map.entry(33, "EDOM Numerical argument out of domain"),
            Map.entry(34, "ERANGE Numerical result out of range"),
            Map.entry(35, "EDEADLK Resource deadlock avoided"),
            Map.entry(36, "ENAMETOOLONG File name too long"),
            Map.entry(37, "ENOLCK No locks available"),
            Map.entry(38, "ENOSYS Function not implemented"),
            Map.entry(39, "ENOTEMPTY Directory not empty"),
            Map.entry(40, "ELOOP Too many levels of symbolic links"),
            Map.entry(61, "ENODATA No data available"),
            Map.entry(62, "ETIME Timer expired"),
            Map.entry(71, "EPROTO Protocol error"),
            Map.entry(74, "EBADMSG Bad message"),
            Map.entry(75, "EOVERFLOW Value too large for defined data type"),
            Map.entry(84, "EILSEQ Invalid or incomplete multibyte or wide character"),
            Map.entry(90, "EMSGSIZE Message too long"),
            Map.entry(95, "EOPNOTSUPP Operation not supported"),
            Map.entry(98, "EADDRINUSE Address already in use"),
            Map.entry(99, "EADDRNOTAVAIL Cannot assign requested address"),
            Map.entry(104, "ECONNRESET Connection reset by peer"),
            Map.entry(105, "ENOBUFS No buffer space available"),
            Map.entry(107, "ENOTCONN Transport endpoint is not connected"),
            Map.entry(108, "ESHUTDOWN Cannot send after transport endpoint shutdown"),
            Map.entry(110, "ETIMEDOUT Connection timed out"),
            Map.entry(111, "ECONNREFUSED Connection refused"),
            Map.entry(112, "EHOSTDOWN Host is down"),
            Map.entry(113, "EHOSTUNREACH No route to host"),
            Map.entry(114, "EALREADY Operation already in progress"),
            Map.entry(115, "EINPROGRESS Operation now in progress"),
            Map.entry(116, "ESTALE Stale file handle"),
            Map.entry(117, "EUCLEAN Structure needs cleaning"),
            Map.entry(121, "EREMOTEIO Remote I/O error"),
            Map.entry(122, "EDQUOT Disk quota exceeded"),
            Map.entry(123, "ENOMEDIUM No medium found"),
            Map.entry(124, "EMEDIUMTYPE Wrong medium type"),
            Map.entry(125, "ECANCELED Operation canceled"),
            Map.entry(126, "ENOKEY Required key not available"));

    private Errno() {}

    /** The symbolic name, "EPERM"; a number that has none in the table is written as "errno 999". */
    public static String name(int errno) {
        String text = TEXTS.get(errno);
        return text == null ? "errno " + errno : text.substring(0, text.indexOf(' '));
    }

    /** For messages: "Operation not permitted (EPERM)". */
    public static String describe(int errno) {
        String text = TEXTS.get(errno);
        if (text == null) {
            return "errno " + errno;
        }
        int blank = text.indexOf(' ');
        return text.substring(blank + 1) + " (" + text.substring(0, blank) + ")";
    }
}
