package pve.oci.daemon;

/** The table of settings as others want it: the file with every key commented out, and a piece of its manual page. */
final class ConfigurationTemplate {
    private ConfigurationTemplate() {}

    static String asFile() {
        StringBuilder file = new StringBuilder("""
                # Settings of pve-ocid, see pve-ocid.conf(5). Every key is here with its default; systemctl reload
                # pve-ocid takes over what was changed, for jobs that begin after it.
                """);
        for (Setting setting : Setting.values()) {
            file.append(String.format(
                    "%n# %s (%s)%n#%s =%s%n",
                    capitalized(setting.description),
                    setting.unit.description,
                    setting.key,
                    // the file is made on another machine than the one that it is for
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

    private static String capitalized(String text) {
        return text.substring(0, 1).toUpperCase(java.util.Locale.ROOT) + text.substring(1);
    }
}
