package pve.oci.service;

/** Strings of others in our lines: in messages and in the log. */
final class Text {
    private static final int MAXIMUM_LENGTH = 8192;

    private Text() {}

    /** One line of bounded length: control characters are written as \xNN. Text that is clean stays as it is. */
    static String clean(String text) {
        StringBuilder line = new StringBuilder(Math.min(text.length(), MAXIMUM_LENGTH));
        for (int i = 0; i < text.length() && line.length() < MAXIMUM_LENGTH; i++) {
            char c = text.charAt(i);
            // U+2028 and U+2029 end a line for some readers; C1 controls move some terminals' cursors
            if (c < ' ' || (c >= 0x7f && c < 0xa0)) {
                line.append(String.format("\\x%02x", (int) c));
            } else if (c == 0x2028 || c == 0x2029 || (Character.isSurrogate(c) && !isPaired(text, i))) {
                line.append('?');
            } else {
                line.append(c);
            }
        }
        return line.toString();
    }

    private static boolean isPaired(String text, int i) {
        return Character.isHighSurrogate(text.charAt(i))
                ? i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))
                : i > 0 && Character.isHighSurrogate(text.charAt(i - 1));
    }
}
