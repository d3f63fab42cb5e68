package pve.oci.tar;

import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/**
 * What the PAX extended header before an entry says about it. The last of equal keywords counts; an empty value takes
 * an earlier one back, so that the header block's counts (POSIX pax, Extended Header).
 */
final class PaxHeader {
    private final TarLimits limits;
    private final XattrCollector xattrs;
    final PaxSparse sparse;
    // each counts only when its flag is set
    boolean hasSize;
    long size;
    boolean hasUid;
    long uid;
    boolean hasGid;
    long gid;
    boolean hasMtime;
    long mtimeSeconds;
    int mtimeNanos;
    private byte[] records = new byte[1024];
    private long offset;
    private boolean present;
    private int pathStart;
    private int pathEnd;
    private int linkPathStart;
    private int linkPathEnd;

    PaxHeader(TarLimits limits, SparseMap map) {
        this.limits = limits;
        this.xattrs = new XattrCollector(limits);
        this.sparse = new PaxSparse(limits, map);
    }

    boolean isPresent() {
        return present;
    }

    void clear() {
        if (present) {
            present = false;
            pathEnd = pathStart;
            linkPathEnd = linkPathStart;
            hasSize = false;
            hasUid = false;
            hasGid = false;
            hasMtime = false;
            xattrs.clear();
            sparse.clear();
        }
    }

    /** Reads the records that follow a header block of type x. */
    void read(TarInput input, long contentSize, long headerOffset) throws IOException {
        if (contentSize > limits.maximumPaxSize()) {
            throw new TarLimitException(
                    "PAX header is too large", "maximumPaxSize", limits.maximumPaxSize(), headerOffset);
        }
        offset = headerOffset;
        if (present) {
            // readers disagree about which of the two counts, so it would hide entries from some of them
            throw malformed("second PAX header for one entry");
        }
        present = true;
        int end = (int) contentSize;
        records = input.readContent(records, end, "a PAX header");
        int position = 0;
        while (position < end) {
            position = record(position, end);
        }
    }

    // "%d %s=%s\n", the number being the length of all of it
    private int record(int start, int end) throws IOException {
        int i = start;
        int length = 0;
        while (i < end && records[i] >= '0' && records[i] <= '9' && length <= end) {
            length = length * 10 + records[i] - '0';
            i++;
        }
        int last = start + length - 1;
        if (i == start || i >= end || records[i] != ' ' || last >= end || last <= i || records[last] != '\n') {
            throw malformed("malformed length of a record in a PAX header");
        }
        int keyStart = i + 1;
        int keyEnd = keyStart;
        while (keyEnd < last && records[keyEnd] != '=') {
            keyEnd++;
        }
        if (keyEnd == last || keyEnd == keyStart) {
            throw malformed("record without keyword in a PAX header");
        }
        PaxKeyword keyword = PaxKeyword.of(records, keyStart, keyEnd);
        if (keyword != null) {
            apply(keyword, keyStart, keyEnd, last);
        }
        return last + 1;
    }

    private void apply(PaxKeyword keyword, int keyStart, int keyEnd, int end) throws IOException {
        int start = keyEnd + 1;
        boolean given = start < end;
        switch (keyword) {
            case PATH, LINK_PATH, SPARSE_NAME -> name(keyword, start, end);
            case SIZE -> {
                hasSize = given;
                size = given ? sparse.number(records, keyword, start, end, offset) : 0;
            }
            case UID -> {
                hasUid = given;
                uid = given ? id(keyword, start, end) : 0;
            }
            case GID -> {
                hasGid = given;
                gid = given ? id(keyword, start, end) : 0;
            }
            case MTIME -> {
                hasMtime = given;
                if (given) {
                    mtime(start, end);
                }
            }
            case XATTR, LIBARCHIVE_XATTR -> xattr(keyword, keyStart, keyEnd, end);
            case ACL_ACCESS, ACL_DEFAULT ->
                xattrs.addAcl(
                        Arrays.copyOfRange(records, keyStart, keyEnd), Arrays.copyOfRange(records, start, end), offset);
            default -> sparse.apply(keyword, records, start, end, offset);
        }
    }

    private void name(PaxKeyword keyword, int start, int end) throws TarFormatException {
        for (int i = start; i < end; i++) {
            if (records[i] == 0) {
                throw malformed("NUL in the " + keyword.label + " of a PAX header");
            }
        }
        if (keyword == PaxKeyword.PATH) {
            pathStart = start;
            pathEnd = end;
        } else if (keyword == PaxKeyword.LINK_PATH) {
            linkPathStart = start;
            linkPathEnd = end;
        } else {
            sparse.setName(start, end);
        }
    }

    private void xattr(PaxKeyword keyword, int keyStart, int keyEnd, int end) throws IOException {
        byte[] name = Arrays.copyOfRange(records, keyStart + keyword.length(), keyEnd);
        byte[] value = Arrays.copyOfRange(records, keyEnd + 1, end);
        if (keyword == PaxKeyword.XATTR) {
            xattrs.addSchily(name, value, offset);
        } else {
            xattrs.addLibarchive(name, value, offset);
        }
    }

    // any whole number is accepted here; whoever maps it reports the ones outside the ID map, with the entry's name
    private long id(PaxKeyword keyword, int start, int end) throws TarFormatException {
        long value = Decimal.parse(records, start, end);
        if (value == Decimal.MALFORMED) {
            throw malformed("malformed " + keyword.label + " in a PAX header");
        }
        return value;
    }

    private void mtime(int start, int end) throws TarFormatException {
        int point = start;
        while (point < end && records[point] != '.') {
            point++;
        }
        long seconds = Decimal.parse(records, start, point);
        int nanos = Decimal.nanos(records, Math.min(point + 1, end), end);
        // the values at both ends stand for anything larger
        if (seconds == Decimal.MALFORMED || Math.abs(seconds) == Long.MAX_VALUE || nanos < 0) {
            throw malformed("malformed mtime in a PAX header");
        }
        boolean negative = records[start] == '-';
        mtimeSeconds = negative && nanos > 0 ? seconds - 1 : seconds;
        mtimeNanos = negative && nanos > 0 ? 1_000_000_000 - nanos : nanos;
    }

    /** Replaces the names that the header block gave. */
    void applyNames(TarEntry entry, boolean link) throws TarLimitException {
        if (sparse.nameEnd() > sparse.nameStart()) {
            entry.name.set(records, sparse.nameStart(), sparse.nameEnd() - sparse.nameStart(), offset);
        } else if (pathEnd > pathStart) {
            entry.name.set(records, pathStart, pathEnd - pathStart, offset);
        }
        if (link && linkPathEnd > linkPathStart) {
            entry.linkName.set(records, linkPathStart, linkPathEnd - linkPathStart, offset);
        }
    }

    List<Xattr> xattrs() {
        return xattrs.toList();
    }

    private TarFormatException malformed(String reason) {
        return new TarFormatException(offset, reason);
    }
}
