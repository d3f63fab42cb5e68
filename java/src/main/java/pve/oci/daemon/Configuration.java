package pve.oci.daemon;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The settings in force. Settings of the command line take precedence over those of the file, and these over the
 * defaults. An object does not change; a reload makes another one.
 */
final class Configuration {
    static final Path DEFAULT_FILE = Path.of("/etc/pve-ocid.conf");

    private static final int MAXIMUM_FILE_SIZE = 1 << 20;

    /** The configuration file is wrong or cannot be read. */
    static final class ConfigurationException extends IOException {
        private static final long serialVersionUID = 1;

        ConfigurationException(String message) {
            super(message);
        }
    }

    private final Map<Setting, Long> values;

    private Configuration(Map<Setting, Long> values) {
        this.values = values;
    }

    /**
     * Reads the file; values of the command line take precedence. Only the default file may be missing.
     *
     * @throws ConfigurationException with the file's name and the line's number
     */
    static Configuration read(Path file, Map<Setting, Long> commandLine) throws IOException {
        Map<Setting, Long> values = new EnumMap<>(Setting.class);
        if (!file.equals(DEFAULT_FILE) || Files.exists(file)) {
            values.putAll(parse(text(file).lines().toList(), file.toString()));
        }
        values.putAll(commandLine);
        return new Configuration(values);
    }

    private static String text(Path file) throws IOException {
        byte[] bytes;
        try (InputStream stream = Files.newInputStream(file)) {
            bytes = stream.readNBytes(MAXIMUM_FILE_SIZE + 1);
        } catch (FileSystemException e) {
            throw new ConfigurationException(file + " cannot be read: " + reason(e));
        } catch (IOException e) {
            throw new ConfigurationException(file + " cannot be read: " + e.getMessage());
        }
        if (bytes.length > MAXIMUM_FILE_SIZE) {
            throw new ConfigurationException(file + " is too large for a configuration");
        }
        // no key or value can have bytes that are not UTF-8
        return new String(bytes, StandardCharsets.UTF_8);
    }

    /** The reason without the file's name. Some exceptions tell it only by their class. */
    static String reason(FileSystemException e) {
        if (e instanceof NoSuchFileException) {
            return "there is no such file";
        }
        if (e instanceof AccessDeniedException) {
            return "permission denied";
        }
        return e.getReason() == null ? e.getClass().getSimpleName() : e.getReason();
    }

    private static Map<Setting, Long> parse(List<String> lines, String file) throws IOException {
        Map<Setting, Long> values = new EnumMap<>(Setting.class);
        for (int number = 1; number <= lines.size(); number++) {
            String line = lines.get(number - 1).strip();
            if (line.isEmpty() || line.startsWith("#")) {
                continue;
            }
            try {
                parse(line, values);
            } catch (Setting.ValueException e) {
                throw new ConfigurationException(file + ":" + number + ": " + e.getMessage());
            }
        }
        return values;
    }

    private static void parse(String line, Map<Setting, Long> values) throws Setting.ValueException {
        int equals = line.indexOf('=');
        if (equals < 0) {
            throw new Setting.ValueException("not of the form key = value: " + line);
        }
        String key = line.substring(0, equals).strip();
        Setting setting = Setting.of(key);
        if (setting == null) {
            throw new Setting.ValueException("unknown key: " + key);
        }
        long value = setting.parse(line.substring(equals + 1).strip());
        if (values.put(setting, value) != null) {
            throw new Setting.ValueException(key + " is set a second time");
        }
    }

    long value(Setting setting) {
        return values.getOrDefault(setting, setting.defaultValue);
    }

    int number(Setting setting) {
        return Math.toIntExact(value(setting));
    }

    boolean isOn(Setting setting) {
        return value(setting) != 0;
    }

    /**
     * The limits that differ from the engine's own defaults, by their names in the type Limits of io.pve.oci.worker.
     */
    Map<String, Long> workerOptions() {
        Map<String, Long> options = new LinkedHashMap<>();
        values.forEach((setting, value) -> {
            if (setting.workerOption != null) {
                options.put(setting.workerOption, value);
            }
        });
        return options;
    }

    /** The settings that differ, as key=value words for the log. */
    String differenceFrom(Configuration other) {
        StringBuilder difference = new StringBuilder();
        for (Setting setting : Setting.values()) {
            if (value(setting) != other.value(setting)) {
                difference.append(' ').append(setting.key).append('=').append(setting.format(value(setting)));
            }
        }
        return difference.toString();
    }
}
