package pve.oci.text;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Makes foreign text safe to show on one line: in a message, a log or on a terminal. Characters that a terminal or a
 * log would act on are written as the bytes of their UTF-8 form, each as \xNN. PVE::OCI::Text does the same in Perl;
 * both are held to the vectors in shown-text.json.
 */
public final class Text {
    /** Longer text is cut: nobody reads more, and a stranger must not fill the log. */
    private static final int MAXIMUM_LENGTH = 8192;

    /** Room for any path; a longer name is cut. */
    private static final int MAXIMUM_NAME_LENGTH = 4200;

    /**
     * First and last code point of each range that is not shown: C0 and C1 controls with DEL, Unicode's format controls
     * (category Cf of Unicode 15, bidirectional ones among them), line and paragraph separators, surrogates. A list of
     * our own, because the JDK and Perl follow different versions of Unicode.
     */
    private static final int[] HIDDEN = {
        0x0000, 0x001f, 0x007f, 0x009f, 0x00ad, 0x00ad, 0x0600, 0x0605, 0x061c, 0x061c, 0x06dd, 0x06dd, 0x070f, 0x070f,
        0x0890, 0x0891, 0x08e2, 0x08e2, 0x180e, 0x180e, 0x200b, 0x200f, 0x2028, 0x202e, 0x2060, 0x206f, 0xd800, 0xdfff,
        0xfeff, 0xfeff, 0xfff9, 0xfffb, 0x110bd, 0x110bd, 0x110cd, 0x110cd, 0x13430, 0x1343f, 0x1bca0, 0x1bca3, 0x1d173,
        0x1d17a, 0xe0001, 0xe0001, 0xe0020, 0xe007f,
    };

    private Text() {}

    /** Cleans foreign text for a message or a log line. Clean text does not change, so cleaning twice is harmless. */
    public static String clean(String unsafe) {
        int end = Math.min(unsafe.length(), MAXIMUM_LENGTH);
        if (end < unsafe.length() && Character.isHighSurrogate(unsafe.charAt(end - 1))) {
            end--;
        }
        StringBuilder text = new StringBuilder(end + 16);
        for (int i = 0; i < end; i += Character.charCount(unsafe.codePointAt(i))) {
            append(text, unsafe.codePointAt(i));
        }
        return end < unsafe.length() ? text + "..." : text.toString();
    }

    /**
     * A name out of an image, quoted in a message: the backslash is escaped too, so that two names never look alike.
     */
    public static String name(String unsafe) {
        return name(unsafe.getBytes(StandardCharsets.UTF_8));
    }

    /** A name as bytes. If they are not UTF-8, all bytes beyond ASCII are written as \xNN. */
    public static String name(byte[] unsafe) {
        return name(unsafe, unsafe.length);
    }

    /** The first {@code length} bytes of an array that holds a name. */
    public static String name(byte[] unsafe, int length) {
        int shown = Math.min(length, MAXIMUM_NAME_LENGTH);
        StringBuilder text = new StringBuilder(shown + 16);
        if (isUtf8(unsafe, shown)) {
            String name = new String(unsafe, 0, shown, StandardCharsets.UTF_8);
            for (int i = 0; i < name.length(); i += Character.charCount(name.codePointAt(i))) {
                appendOfName(text, name.codePointAt(i));
            }
        } else {
            for (int i = 0; i < shown; i++) {
                if (unsafe[i] < 0) {
                    appendByte(text, unsafe[i]);
                } else {
                    appendOfName(text, unsafe[i]);
                }
            }
        }
        return shown < length ? text + "..." : text.toString();
    }

    private static boolean isUtf8(byte[] bytes, int length) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, 0, length));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    private static void appendOfName(StringBuilder text, int codePoint) {
        if (codePoint == '\\') {
            appendByte(text, (byte) '\\');
        } else {
            append(text, codePoint);
        }
    }

    private static void append(StringBuilder text, int codePoint) {
        if (isShown(codePoint)) {
            text.appendCodePoint(codePoint);
        } else if (codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE) {
            // half of a pair has no UTF-8 form
            text.append('?');
        } else {
            for (byte b : Character.toString(codePoint).getBytes(StandardCharsets.UTF_8)) {
                appendByte(text, b);
            }
        }
    }

    private static void appendByte(StringBuilder text, byte value) {
        text.append("\\x").append(Character.forDigit(value >> 4 & 0xf, 16)).append(Character.forDigit(value & 0xf, 16));
    }

    private static boolean isShown(int codePoint) {
        if (codePoint >= 0x20 && codePoint < 0x7f) {
            return true;
        }
        for (int i = 0; i < HIDDEN.length; i += 2) {
            if (codePoint >= HIDDEN[i] && codePoint <= HIDDEN[i + 1]) {
                return false;
            }
        }
        return true;
    }
}
