package pve.oci.daemon;

import java.util.Locale;
import org.jspecify.annotations.Nullable;
import pve.oci.json.JsonLimits;
import pve.oci.service.ServiceSettings;

/**
 * The settings that an administrator has, in {@code /etc/pve-ocid.conf} or as options of the same names. Parser,
 * template of the file and manual page are made from this table. The engine has the same defaults; ConfigurationTest
 * compares them.
 */
enum Setting {
    // key, unit, minimum, maximum, default; what it means; name in the type Limits of io.pve.oci.worker
    // spotless:off
    JOBS("jobs", Unit.COUNT, 1, 1024, ServiceSettings.defaultMaximumRunningJobs(),
        "how many jobs run at once; those of one archive at most three quarters of that"),
    QUEUE("queue", Unit.COUNT, 0, 100_000, ServiceSettings.DEFAULT_MAXIMUM_QUEUED_JOBS,
        "jobs that wait for their turn; one more is refused"),
    SPARES("spares", Unit.COUNT, 0, 64, 4,
        "spare workers that wait for jobs, for all ID maps together; 0: every job starts its own"),
    // at least 10 s: a worker sends a sign of life every four seconds
    HANG("hang", Unit.SECONDS, 10, 86_400, ServiceSettings.DEFAULT_HANG_MILLIS / 1000,
        "a worker that does nothing for this long is killed"),
    SPARE_IDLE("spare-idle", Unit.SECONDS, 0, 86_400, 120,
        "spare workers end when there was no job with their ID map for this long; 0: right after a job"),
    IDLE_EXIT("idle-exit", Unit.SECONDS, 0, 86_400, 600,
        "a daemon that systemd started by its socket ends after this long without a client; 0: never"),
    ALLOW_ANY_ID_MAP("allow-any-id-map", Unit.FLAG, 0, 1, 0,
        "ID maps need not be within root's ranges in /etc/subuid and /etc/subgid"),
    DAEMON_ONLY("daemon-only", Unit.FLAG, 0, 1, 1,
        "clients fail when the daemon cannot be reached, and do not use the embedded engine instead; without this"
            + " key pct create fails, and pve-oci uses the embedded engine and says so"),
    VERBOSE("verbose", Unit.FLAG, 0, 1, 0,
        "log more"),
    MAXIMUM_SIZE("maximum-size", Unit.BYTES, 1, 1L << 60, 1L << 40,
        "how many bytes one image may write: content (of sparse files the full size), and names, link targets and"
            + " extended attributes beyond 64 KiB", "maximumSize"),
    MAXIMUM_ENTRIES("maximum-entries", Unit.COUNT, 1, 1L << 40, 10_000_000,
        "how many entries all layers of one image may have", "maximumEntries"),
    MAXIMUM_STEPS("maximum-steps", Unit.COUNT, 1000, 1L << 40, 20_000_000,
        "how many path components may be looked up, links followed and names listed for one image; limits its time",
        "maximumSteps"),
    MAXIMUM_RATIO("maximum-ratio", Unit.COUNT, 1, 1L << 30, 5_000,
        "highest allowed compression ratio, checked once a layer exceeds 1 GiB", "maximumRatio"),
    BANDWIDTH_LIMIT("bandwidth-limit", Unit.BYTES, 0, 1L << 50, 0,
        "bytes of an archive that a job reads in a second; 0: no limit", "bandwidthLimit"),
    READ_AHEAD("read-ahead", Unit.BYTES, 4 << 20, 128 << 20, 64 << 20,
        "memory each job may use to decompress data ahead of the writer; with four or more CPUs this includes the"
            + " next layer", "readAhead"),
    ZSTD_WINDOW_LOG("zstd-window-log", Unit.LOGARITHM, 10, 31, 27,
        "largest window of a zstd frame, in a layer or in the archive; 27 are 128 MiB", "zstdWindowLog"),
    MAXIMUM_JSON_SIZE("maximum-json-size", Unit.BYTES, 1024, 64 << 20, JsonLimits.DEFAULT.maximumSize(),
        "size of an index, manifest or configuration", "maximumJsonSize"),
    MAXIMUM_JSON_DEPTH("maximum-json-depth", Unit.COUNT, 8, 1000, JsonLimits.DEFAULT.maximumDepth(),
        "how deep objects and arrays may nest in such a document", "maximumJsonDepth"),
    MAXIMUM_JSON_VALUES("maximum-json-values", Unit.COUNT, 100, 10_000_000, JsonLimits.DEFAULT.maximumValues(),
        "how many values of any kind such a document may hold", "maximumJsonValues"),
    MAXIMUM_NAME_SIZE("maximum-name-size", Unit.BYTES, 255, 4096, 4096,
        "size of the name, and of the link name, of an entry", "maximumNameSize"),
    MAXIMUM_PAX_SIZE("maximum-pax-size", Unit.BYTES, 1024, 64 << 20, 1 << 20,
        "size of one PAX extended header", "maximumPaxSize"),
    MAXIMUM_XATTR_SIZE("maximum-xattr-size", Unit.BYTES, 1, 64 << 10, 64 << 10,
        "size of the value of an extended attribute", "maximumXattrSize"),
    MAXIMUM_XATTRS("maximum-xattrs", Unit.COUNT, 0, 100_000, 1024,
        "how many extended attributes one entry may have", "maximumXattrs"),
    MAXIMUM_SPARSE_REGIONS("maximum-sparse-regions", Unit.COUNT, 0, 1 << 24, 1 << 16,
        "how many regions the map of a sparse file may have", "maximumSparseRegions");
    // spotless:on

    /** What a value is. */
    enum Unit {
        COUNT("a number"),
        SECONDS("seconds"),
        BYTES("bytes; K, M, G, T: times 1024, ..."),
        LOGARITHM("binary logarithm of bytes"),
        FLAG("yes or no");

        final String description;

        Unit(String description) {
            this.description = description;
        }
    }

    /** A value that a setting cannot have. */
    static final class ValueException extends Exception {
        private static final long serialVersionUID = 1;

        ValueException(String message) {
            super(message);
        }
    }

    private static final String SUFFIXES = "KMGT";

    final String key;
    final Unit unit;
    final long minimum;
    final long maximum;
    final long defaultValue;
    final String description;

    /** Name in the type Limits of io.pve.oci.worker, or null for a setting that concerns the daemon only. */
    final @Nullable String workerOption;

    Setting(String key, Unit unit, long minimum, long maximum, long defaultValue, String description) {
        this(key, unit, minimum, maximum, defaultValue, description, null);
    }

    Setting(
            String key,
            Unit unit,
            long minimum,
            long maximum,
            long defaultValue,
            String description,
            @Nullable String workerOption) {
        this.key = key;
        this.unit = unit;
        this.minimum = minimum;
        this.maximum = maximum;
        this.defaultValue = defaultValue;
        this.description = description;
        this.workerOption = workerOption;
    }

    /** Whether the default depends on the machine that the daemon runs on. */
    boolean isOfMachine() {
        return this == JOBS;
    }

    static @Nullable Setting of(String key) {
        for (Setting setting : values()) {
            if (setting.key.equals(key)) {
                return setting;
            }
        }
        return null;
    }

    long parse(String text) throws ValueException {
        if (unit == Unit.FLAG) {
            return switch (text.toLowerCase(Locale.ROOT)) {
                case "yes", "on", "true", "1" -> 1;
                case "no", "off", "false", "0" -> 0;
                default -> throw new ValueException(key + " is yes or no, not: " + text);
            };
        }
        int suffix = unit == Unit.BYTES && !text.isEmpty() ? SUFFIXES.indexOf(text.charAt(text.length() - 1)) + 1 : 0;
        try {
            long number = Long.parseLong(suffix == 0 ? text : text.substring(0, text.length() - 1));
            long value = Math.multiplyExact(number, 1L << (10 * suffix));
            if (value >= minimum && value <= maximum) {
                return value;
            }
        } catch (NumberFormatException | ArithmeticException e) {
            // the exception below says what is wrong
        }
        throw new ValueException(key + " is a number from " + format(minimum) + " to " + format(maximum)
                + (unit == Unit.BYTES ? " (K, M, G or T may follow it), not: " : ", not: ")
                + (text.isEmpty() ? "nothing" : text));
    }

    /** The value as it is written in the configuration file. */
    String format(long value) {
        if (unit == Unit.FLAG) {
            return value == 0 ? "no" : "yes";
        }
        int suffix = 0;
        while (unit == Unit.BYTES && suffix < SUFFIXES.length() && value != 0 && value % 1024 == 0) {
            value /= 1024;
            suffix++;
        }
        return value + (suffix == 0 ? "" : SUFFIXES.substring(suffix - 1, suffix));
    }
}
