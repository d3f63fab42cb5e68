package pve.oci.oci;

import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/**
 * Strings and names of an image as they appear in messages: control characters, the backslash and bytes that are not
 * UTF-8 are written as \xNN, and what is very long is shortened.
 */
public final class Text {
    private static final int MAXIMUM_LENGTH = 4200;

    private Text() {}

    public static String clean(String unsafe) {
        return clean(unsafe.getBytes(StandardCharsets.UTF_8));
    }

    public static String clean(byte[] unsafe) {
        return clean(unsafe, unsafe.length);
    }

    public static String clean(byte[] unsafe, int length) {
        int shown = Math.min(length, MAXIMUM_LENGTH);
        String text = escape(unsafe, shown, isUtf8(unsafe, shown));
        return shown < length ? text + "..." : text;
    }

    private static boolean isUtf8(byte[] bytes, int length) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, 0, length));
            return true;
        } catch (CharacterCodingException e) {
            return false;
        }
    }

    private static String escape(byte[] bytes, int length, boolean utf8) {
        StringBuilder text = new StringBuilder(length + 16);
        String source = new String(bytes, 0, length, utf8 ? StandardCharsets.UTF_8 : StandardCharsets.ISO_8859_1);
        source.codePoints().forEach(c -> {
            boolean plain = c >= 0x20 && c != 0x7f && c != '\\' && (c < 0x7f || (utf8 && isShown(c)));
            if (plain) {
                text.appendCodePoint(c);
            } else {
                for (byte b : utf8 ? Character.toString(c).getBytes(StandardCharsets.UTF_8) : new byte[] {(byte) c}) {
                    text.append(String.format("\\x%02x", b & 0xff));
                }
            }
        });
        return text.toString();
    }

    /** C1 controls, and the formats that turn the reading direction around in a terminal, are not shown. */
    private static boolean isShown(int c) {
        int type = Character.getType(c);
        return type != Character.CONTROL
                && type != Character.FORMAT
                && type != Character.LINE_SEPARATOR
                && type != Character.PARAGRAPH_SEPARATOR
                && type != Character.SURROGATE;
    }
}
