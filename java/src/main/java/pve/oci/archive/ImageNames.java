package pve.oci.archive;

import java.util.Set;
import java.util.regex.Pattern;

/**
 * The names of the files in image archives. PVE::LXC::OCI::Archive knows the same names; both are held to the list in
 * image-names.json.
 */
final class ImageNames {
    /** One of these files makes an archive an image archive. */
    private static final Set<String> DOCUMENTS = Set.of("oci-layout", "index.json", "manifest.json", "repositories");

    /** Blobs of a layout; configs and layers, as docker, podman, skopeo, Jib and go-containerregistry name them. */
    private static final Pattern PARTS = Pattern.compile(
            "blobs(?:/.*)?|(?:sha256:)?[0-9a-f]{64}(?:\\.json|\\.tar(?:\\.gz|\\.gzip|\\.zst|\\.zstd)?|\\.tgz|/.*)?",
            Pattern.DOTALL);

    private ImageNames() {}

    /** Whether the file decides what the archive is. */
    static boolean isDocument(String cleanName) {
        return DOCUMENTS.contains(cleanName);
    }

    /** Whether image archives have such files; others seldom do. */
    static boolean isOfImage(String cleanName) {
        return isDocument(cleanName) || PARTS.matcher(cleanName).matches();
    }

    /**
     * A name relative to the archive's root, without empty components, "." and "..". The root is its own parent, so no
     * name leads out of the archive.
     */
    static String clean(String name) {
        if (isClean(name)) {
            return name;
        }
        StringBuilder path = new StringBuilder(name.length());
        int start = 0;
        while (start <= name.length()) {
            int slash = name.indexOf('/', start);
            int end = slash < 0 ? name.length() : slash;
            if (end - start == 2 && name.startsWith("..", start)) {
                path.setLength(Math.max(0, path.lastIndexOf("/")));
            } else if (end > start && !(end - start == 1 && name.charAt(start) == '.')) {
                path.append(path.isEmpty() ? "" : "/").append(name, start, end);
            }
            start = end + 1;
        }
        return path.toString();
    }

    /** Whether ".." is a component of the name. */
    static boolean leadsUp(String name) {
        return name.equals("..") || name.startsWith("../") || name.endsWith("/..") || name.contains("/../");
    }

    /** A quick check that most names pass: no component is empty or begins with a dot. */
    private static boolean isClean(String name) {
        return !name.isEmpty()
                && name.charAt(0) != '/'
                && name.charAt(0) != '.'
                && name.charAt(name.length() - 1) != '/'
                && !name.contains("//")
                && !name.contains("/.");
    }
}
