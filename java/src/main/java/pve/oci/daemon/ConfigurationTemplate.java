package pve.oci.daemon;

/**
 * Prints the table of settings: as a configuration file with every key commented out, as a part of its manual page, and
 * as lines of --help.
 */
final class ConfigurationTemplate {
    private static final int COLUMNS = 80;

    private ConfigurationTemplate() {}

    static String asFile() {
        StringBuilder file = new StringBuilder("""
                # Settings of pve-ocid, see pve-ocid.conf(5). Every key is here with its
                # default; systemctl reload pve-ocid takes over what was changed, for jobs that
                # begin after it.
                """);
        for (Setting setting : Setting.values()) {
            String text = capitalized(setting.description) + " (" + setting.unit.description + ")";
            file.append(String.format(
                    "%n%s%n#%s =%s%n",
                    wrapped("# ", text, "# "),
                    setting.key,
                    // the file may be made on another machine than the one that it is for
                    setting.isOfMachine() ? "" : " " + setting.format(setting.defaultValue)));
        }
        return file.toString();
    }

    /** Items of a list in POD. */
    static String asPod() {
        StringBuilder pod = new StringBuilder();
        for (Setting setting : Setting.values()) {
            String range = setting.unit == Setting.Unit.FLAG
                    ? ""
                    : ", from " + setting.format(setting.minimum) + " to " + setting.format(setting.maximum);
            pod.append(String.format(
                    "=item B<%s>%n%n%s. (%s%s; default: %s)%n%n",
                    setting.key,
                    capitalized(setting.description),
                    setting.unit.description,
                    range,
                    setting.isOfMachine() ? "twice the number of processors" : setting.format(setting.defaultValue)));
        }
        return pod.toString();
    }

    /** Two columns: the option, and what it is for with its default. */
    static String asHelp() {
        StringBuilder help = new StringBuilder();
        for (Setting setting : Setting.values()) {
            String text = setting.description + " (" + setting.format(setting.defaultValue) + ")";
            String option = String.format("  --%-24s ", setting.key);
            help.append(wrapped(option, text, " ".repeat(option.length()))).append('\n');
        }
        return help.toString();
    }

    /** Lines of at most 80 columns; the first begins with {@code first}, the others with {@code others}. */
    private static String wrapped(String first, String text, String others) {
        StringBuilder lines = new StringBuilder(first);
        int column = first.length();
        boolean isFirst = true;
        for (String word : text.split(" ", -1)) {
            if (isFirst) {
                isFirst = false;
            } else if (column + 1 + word.length() > COLUMNS) {
                lines.append('\n').append(others);
                column = others.length();
            } else {
                lines.append(' ');
                column++;
            }
            lines.append(word);
            column += word.length();
        }
        return lines.toString();
    }

    private static String capitalized(String text) {
        return text.substring(0, 1).toUpperCase(java.util.Locale.ROOT) + text.substring(1);
    }
}
