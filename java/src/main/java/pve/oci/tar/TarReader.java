package pve.oci.tar;

import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Reads a tar archive from its first byte to its last, entry by entry. Extension headers (GNU L and K, PAX x) are
 * applied to the entry they belong to; PAX headers take precedence over GNU's, and those over the header block. After
 * an exception the reader cannot be used any more.
 */
public final class TarReader {
    private static final String CONTENT = "the content of an entry";

    private final TarLimits limits;
    private final boolean passesOverGnuRecords;
    private final TarInput input;
    private final HeaderBlock header = new HeaderBlock();
    private final TarEntry entry;
    private final SparseMap map;
    private final SparseMapText mapText;
    private final PaxHeader pax;
    private final NameBuffer longName;
    private final NameBuffer longLinkName;
    private byte[] longRecord = new byte[TarInput.BLOCK_SIZE];

    private boolean started;
    // an extension header was read that needs an entry after it
    private boolean extended;
    private boolean ended;
    // of the content as it is stored
    private long contentSize;
    private long contentLeft;
    private int dataOffset;
    private int dataLength;
    private long fileOffset;

    /** A reader for layers: an entry of a type that is not known is an error. */
    public TarReader(TarSource source, TarLimits limits) {
        this(source, limits, false);
    }

    private TarReader(TarSource source, TarLimits limits, boolean passesOverGnuRecords) {
        this.limits = limits;
        this.passesOverGnuRecords = passesOverGnuRecords;
        input = new TarInput(source);
        entry = new TarEntry(limits.maximumNameSize());
        map = new SparseMap(limits);
        mapText = new SparseMapText(map, limits, input, header);
        pax = new PaxHeader(limits, map);
        longName = new NameBuffer(limits.maximumNameSize(), "name");
        longLinkName = new NameBuffer(limits.maximumNameSize(), "link name");
    }

    /**
     * A reader for archives that people pack themselves: records that GNU tar makes besides files, the label of a
     * volume and the lists of incremental backups, are passed over.
     */
    public static TarReader ofArchive(TarSource source, TarLimits limits) {
        return new TarReader(source, limits, true);
    }

    /**
     * Goes to the next entry, past what was not read of the one before.
     *
     * @return false when the archive has no more entries
     */
    public boolean next() throws IOException {
        if (ended) {
            return false;
        }
        long firstHeader = beginEntry();
        while (readHeader(firstHeader)) {
            if (isPassedOver()) {
                contentSize = pax.hasSize ? pax.size : headerSize();
                contentLeft = contentSize;
                firstHeader = beginEntry();
            } else if (!readExtension()) {
                startEntry(firstHeader);
                return true;
            }
        }
        return false;
    }

    // past the content of the entry before; returns where the first header of the next one is
    private long beginEntry() throws IOException {
        skipContent();
        pax.clear();
        map.clear();
        longName.clear();
        longLinkName.clear();
        extended = false;
        return input.offset();
    }

    private boolean isPassedOver() {
        return passesOverGnuRecords && (header.typeflag() == 'V' || header.typeflag() == 'D');
    }

    /** The entry that {@link #next()} went to; always the same object. */
    public TarEntry entry() {
        return entry;
    }

    private void skipContent() throws IOException {
        if (contentLeft > 0) {
            input.skip(contentLeft, CONTENT);
            contentLeft = 0;
        }
        input.skipPadding(contentSize);
        contentSize = 0;
    }

    // false at the end of the archive
    private boolean readHeader(long firstHeader) throws IOException {
        int count = header.read(input);
        boolean first = !started;
        started = true;
        if (count == 0 || (count == TarInput.BLOCK_SIZE && header.isZero())) {
            if (extended) {
                throw new TarFormatException(firstHeader, "truncated, an extension header is followed by no entry");
            }
            if (count > 0) {
                checkEndBlock();
            }
            ended = true;
            return false;
        }
        if (count < TarInput.BLOCK_SIZE) {
            throw new TarFormatException(
                    header.offset(),
                    first ? "not a tar archive, or truncated in its first header" : "truncated, ends in a header");
        }
        if (!header.checksumMatches()) {
            throw new TarFormatException(
                    header.offset(),
                    first ? "not a tar archive, its first header has no valid checksum" : "wrong checksum of a header");
        }
        return true;
    }

    // A single zero block at the end is common. Entries after it would be read by some programs and not by others.
    private void checkEndBlock() throws IOException {
        header.read(input);
        if (!header.isZero()) {
            throw new TarFormatException(header.offset(), "zero block in the middle, followed by more than zeros");
        }
    }

    // returns false if the header is not an extension header
    private boolean readExtension() throws IOException {
        switch (header.typeflag()) {
            case 'L' -> readLongName(longName);
            case 'K' -> readLongName(longLinkName);
            // Solaris wrote X before POSIX had settled on x
            case 'x', 'X' -> pax.read(input, headerSize(), header.offset());
            case 'g' -> {
                long size = headerSize();
                if (size > limits.maximumPaxSize()) {
                    throw new TarLimitException(
                            "PAX global header is too large",
                            "maximumPaxSize",
                            limits.maximumPaxSize(),
                            header.offset());
                }
                input.skip(size, "a PAX global header");
                input.skipPadding(size);
                return true;
            }
            default -> {
                return false;
            }
        }
        extended = true;
        return true;
    }

    private long headerSize() throws IOException {
        return header.size(HeaderField.SIZE, limits);
    }

    private void readLongName(NameBuffer name) throws IOException {
        long size = headerSize();
        long offset = header.offset();
        if (size > limits.maximumLongNameSize()) {
            throw new TarLimitException(
                    "GNU long name is too large", "maximumLongNameSize", limits.maximumLongNameSize(), offset);
        }
        longRecord = input.readContent(longRecord, (int) size, "a GNU long name");
        int length = 0;
        while (length < size && longRecord[length] != 0) {
            length++;
        }
        name.set(longRecord, 0, length, offset);
    }

    private void startEntry(long firstHeader) throws IOException {
        byte typeflag = header.typeflag();
        EntryType type = EntryType.of(typeflag);
        if (type == null || (typeflag == 'S' && !header.isGnu())) {
            throw new TarFormatException(header.offset(), "entry of unsupported type " + describe(typeflag));
        }
        entry.offset = firstHeader;
        readNames(type);
        boolean byName = (typeflag == 0 || typeflag == '0') && entry.name.endsWithSlash();
        entry.type = byName ? EntryType.DIRECTORY : type;
        readNumbers();
        entry.xattrs = pax.xattrs();
        entry.size = 0;
        entry.sparse = false;
        if (type == EntryType.REGULAR) {
            startContent(typeflag == 'S');
        } else if (pax.sparse.isPresent()) {
            throw new TarFormatException(firstHeader, "sparse file that is no regular file");
        }
        if (byName && contentSize > 0) {
            // in v7 only the slash marks a directory; readers disagree on whether content after it is skipped
            throw new TarFormatException(header.offset(), "directory, by the slash after its name, with a content");
        }
        entry.contentOffset = input.offset();
    }

    private void readNames(EntryType type) throws IOException {
        entry.name.clear();
        entry.linkName.clear();
        if (longName.length() > 0) {
            entry.name.set(longName.bytes(), 0, longName.length(), header.offset());
        } else {
            header.appendName(entry.name);
        }
        boolean link = type == EntryType.SYMLINK || type == EntryType.HARD_LINK;
        if (link) {
            if (longLinkName.length() > 0) {
                entry.linkName.set(longLinkName.bytes(), 0, longLinkName.length(), header.offset());
            } else {
                header.appendText(HeaderField.LINK_NAME, entry.linkName);
            }
        }
        pax.applyNames(entry, link);
        if (entry.name.length() == 0) {
            throw new TarFormatException(header.offset(), "entry with an empty name");
        }
    }

    private void readNumbers() throws IOException {
        // some writers store st_mode, file type included
        entry.mode = (int) header.number(HeaderField.MODE) & 07777;
        entry.uid = pax.hasUid ? pax.uid : header.number(HeaderField.UID);
        entry.gid = pax.hasGid ? pax.gid : header.number(HeaderField.GID);
        entry.mtimeSeconds = pax.hasMtime ? pax.mtimeSeconds : header.number(HeaderField.MTIME);
        entry.mtimeNanos = pax.hasMtime ? pax.mtimeNanos : 0;
        boolean device = entry.type.isDevice();
        entry.deviceMajor = device ? header.number(HeaderField.DEVICE_MAJOR) : 0;
        entry.deviceMinor = device ? header.number(HeaderField.DEVICE_MINOR) : 0;
    }

    private void startContent(boolean gnuSparse) throws IOException {
        long at = header.offset();
        contentSize = pax.hasSize ? pax.size : headerSize();
        entry.size = contentSize;
        if (gnuSparse) {
            if (pax.sparse.isPresent()) {
                throw new TarFormatException(at, "two maps of one sparse file");
            }
            entry.size = header.size(HeaderField.GNU_REAL_SIZE, limits);
            map.readGnu(header, input);
            entry.sparse = true;
        } else if (pax.sparse.isPresent()) {
            entry.size = pax.sparse.realSize();
            if (pax.sparse.hasMapInContent(at)) {
                contentSize = mapText.readContent(contentSize);
            }
            entry.sparse = true;
        }
        if (entry.sparse) {
            map.check(entry.size, contentSize, at);
        }
        contentLeft = contentSize;
    }

    /**
     * Goes to the next piece of the entry's content: as much of it as lies in one buffer and belongs to one place in
     * the file.
     *
     * @return false when there is no more; what a sparse file has no pieces for is a hole
     */
    public boolean nextData() throws IOException {
        if (contentLeft == 0) {
            return false;
        }
        if (!input.fill()) {
            throw input.truncated(CONTENT);
        }
        long length = Math.min(input.available(), contentLeft);
        if (entry.sparse) {
            length = Math.min(length, map.left());
            fileOffset = map.position();
            map.advance(length);
        } else {
            fileOffset = contentSize - contentLeft;
        }
        dataOffset = input.position();
        dataLength = (int) length;
        input.consume(dataLength);
        contentLeft -= length;
        return true;
    }

    /** The source's current buffer; the piece is in it until the next call of this reader. */
    public ByteBuffer dataBuffer() {
        return input.buffer();
    }

    /** Index of the piece in {@link #dataBuffer()}. */
    public int dataOffset() {
        return dataOffset;
    }

    public int dataLength() {
        return dataLength;
    }

    /** Where in the file the piece belongs. */
    public long fileOffset() {
        return fileOffset;
    }

    /** Reads on to the end of the source. What follows the last entry is not extracted, but belongs to the diff ID. */
    public void finish() throws IOException {
        ended = true;
        contentLeft = 0;
        input.drain();
    }

    private static String describe(byte typeflag) {
        boolean printable = typeflag > ' ' && typeflag < 0x7f;
        return printable ? "'" + (char) typeflag + "'" : String.format("\\x%02x", typeflag);
    }
}
