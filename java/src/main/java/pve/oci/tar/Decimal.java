package pve.oci.tar;

/** Decimal numbers in PAX records and sparse maps. */
final class Decimal {
    /** Instead of a value: the text is no whole number. */
    static final long MALFORMED = Long.MIN_VALUE;

    private Decimal() {}

    /**
     * A whole number with or without a minus; {@code Long.MAX_VALUE} or its negative for one with more than 63 bits.
     */
    static long parse(byte[] text, int start, int end) {
        boolean negative = start < end && text[start] == '-';
        int first = negative ? start + 1 : start;
        if (first == end) {
            return MALFORMED;
        }
        long value = 0;
        for (int i = first; i < end; i++) {
            int digit = text[i] - '0';
            if (digit < 0 || digit > 9) {
                return MALFORMED;
            }
            boolean fits = value <= (Long.MAX_VALUE - digit) / 10;
            value = fits ? value * 10 + digit : Long.MAX_VALUE;
        }
        return negative ? -value : value;
    }

    /** Nanoseconds of the digits of a fraction, those beyond the ninth cut off; -1 when there are other characters. */
    static int nanos(byte[] text, int start, int end) {
        int nanos = 0;
        int place = 100_000_000;
        for (int i = start; i < end; i++) {
            int digit = text[i] - '0';
            if (digit < 0 || digit > 9) {
                return -1;
            }
            nanos += digit * place;
            place /= 10;
        }
        return nanos;
    }
}
