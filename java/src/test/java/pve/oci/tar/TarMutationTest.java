package pve.oci.tar;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever the bytes are, the reader comes to an end, with entries or with one of its own exceptions. */
class TarMutationTest {
    private static final int ROUNDS = 5000;
    // just enough for the archive, so that mutations run into them
    private static final TarLimits LIMITS = new TarLimits(700, 710, 3300, 12, 3000, 2, 3, 6000);
    private static final String INTERESTING = "\0\u0001 =\n,./0123789LKxgSV5ustar-\u007f";

    @Test
    void unchanged_archive_is_within_the_limits() throws IOException {
        assertThat(ReadEntry.readAll(TarBufferTest.everything().build(), 512, LIMITS))
                .hasSize(12);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3})
    void mutated_archives_only_throw_what_is_declared(long seed) {
        byte[] archive = TarBufferTest.everything().build();
        Random random = new Random(seed);
        int[] outcomes = new int[3];
        Assertions.assertTimeoutPreemptively(Duration.ofMinutes(2), () -> {
            for (int round = 0; round < ROUNDS; round++) {
                outcomes[read(mutate(archive, random), 512 << random.nextInt(5), seed, round)]++;
            }
        });
        // all three happen often, or the mutations would not go deep
        for (int outcome : outcomes) {
            assertThat(outcome).as(Arrays.toString(outcomes)).isGreaterThan(ROUNDS / 50);
        }
    }

    private static int read(byte[] mutated, int bufferSize, long seed, int round) throws IOException {
        try {
            ReadEntry.readAll(mutated, bufferSize, LIMITS);
            return 0;
        } catch (TarFormatException e) {
            assertThat(e.offset()).isBetween(0L, (long) mutated.length);
            return 1;
        } catch (TarLimitException e) {
            return 2;
        } catch (RuntimeException e) {
            return fail("seed " + seed + ", round " + round, e);
        }
    }

    private static byte[] mutate(byte[] archive, Random random) {
        byte[] mutated = archive.clone();
        List<Integer> headers = headers(archive);
        for (int i = random.nextInt(4); i >= 0; i--) {
            change(mutated, headers.get(random.nextInt(headers.size())), random);
        }
        // valid checksums again, so that more than the checksum is tried
        for (int start : headers) {
            fixChecksum(mutated, start);
        }
        return random.nextInt(10) == 0 ? moveBlock(mutated, random) : mutated;
    }

    private static void change(byte[] mutated, int header, Random random) {
        switch (random.nextInt(4)) {
            // a digit of the size; the typeflag, a number, the magic or a sparse map; what follows the header; anything
            case 0 -> mutated[header + 124 + random.nextInt(12)] = (byte) ('0' + random.nextInt(8));
            case 1 -> mutated[header + 100 + random.nextInt(412)] = interesting(random);
            case 2 -> mutated[Math.min(header + 512 + random.nextInt(64), mutated.length - 1)] = interesting(random);
            default -> mutated[random.nextInt(mutated.length)] = (byte) random.nextInt(256);
        }
    }

    private static byte interesting(Random random) {
        return (byte) INTERESTING.charAt(random.nextInt(INTERESTING.length()));
    }

    private static byte[] moveBlock(byte[] archive, Random random) {
        int from = random.nextInt(archive.length / 512) * 512;
        int to = random.nextInt(archive.length / 512) * 512;
        System.arraycopy(archive, from, archive, to, 512);
        return Arrays.copyOf(archive, archive.length - random.nextInt(1024));
    }

    private static List<Integer> headers(byte[] archive) {
        List<Integer> headers = new ArrayList<>();
        for (int start = 0; start < archive.length; start += 512) {
            if (checksum(archive, start) == stored(archive, start)) {
                headers.add(start);
            }
        }
        return headers;
    }

    private static int checksum(byte[] archive, int start) {
        int sum = 8 * ' ';
        for (int i = 0; i < 512; i++) {
            sum += i < 148 || i >= 156 ? archive[start + i] & 0xff : 0;
        }
        return sum;
    }

    private static int stored(byte[] archive, int start) {
        int value = 0;
        for (int i = 148; i < 154; i++) {
            value = value * 8 + archive[start + i] - '0';
        }
        return value;
    }

    private static void fixChecksum(byte[] archive, int start) {
        int sum = checksum(archive, start);
        for (int i = 153; i >= 148; i--) {
            archive[start + i] = (byte) ('0' + (sum & 7));
            sum >>= 3;
        }
    }
}
