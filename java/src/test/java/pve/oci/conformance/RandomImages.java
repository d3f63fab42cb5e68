package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.linux.CString;
import pve.oci.linux.Fd;
import pve.oci.linux.Libc;
import pve.oci.oci.ImageException;
import pve.oci.varlink.VarlinkException;
import pve.oci.worker.JobRequest;
import pve.oci.worker.JobRunner;

/**
 * Extracts images that are made at random by the whole engine in this process, and compares the trees with {@link
 * ModelTree}. t/31-differential.t runs {@link #main} for every number of processors. Needs root, for owners and mounts.
 */
public final class RandomImages {
    private static final int AT_FDCWD = -100;

    private final Path folder;

    RandomImages() throws IOException {
        folder = Files.createTempDirectory("pve-oci-random");
    }

    /** Prints what differs for the seeds from the first argument to the second. */
    public static void main(String[] arguments) throws IOException {
        long first = Long.parseLong(arguments[0]);
        long last = Long.parseLong(arguments[1]);
        List<String> differences = new RandomImages().run(first, last);
        differences.forEach(System.out::println);
        System.out.println((last - first + 1) + " images, " + differences.size() + " different");
    }

    /** What differs, a line for each image. */
    List<String> run(long first, long last) throws IOException {
        List<String> differences = new ArrayList<>();
        int umask = Libc.umask(0);
        try {
            for (long seed = first; seed <= last; seed++) {
                String difference = check(seed);
                if (!difference.isEmpty()) {
                    differences.add(difference);
                }
            }
        } finally {
            Libc.umask(umask);
            remove(folder);
        }
        return differences;
    }

    /** Removes without starting a program, which takes longer than extracting an image. */
    private static void remove(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            try (Stream<Path> children = Files.list(path)) {
                for (Path child : children.toList()) {
                    remove(child);
                }
            }
        }
        Files.delete(path);
    }

    /** What differs, with the image as a conformance case. */
    private String check(long seed) throws IOException {
        List<List<RandomLayers.RandomEntry>> layers = RandomLayers.make(seed);
        Map<String, @Nullable Object> description = RandomLayers.toCase(layers);
        ModelTree model = new ModelTree();
        String refusal = "";
        try {
            for (List<RandomLayers.RandomEntry> layer : layers) {
                model.apply(layer);
            }
        } catch (ModelTree.Refused e) {
            refusal = String.valueOf(e.getMessage());
        } catch (ModelTree.UnspecifiedException e) {
            return "";
        }
        Path archive = folder.resolve("image.tar");
        Files.write(archive, ImageBuilder.build(description));
        Path rootfs = Files.createDirectory(folder.resolve("rootfs" + seed));
        List<String> differences = new ArrayList<>();
        try {
            extract(archive, rootfs);
            if (refusal.isEmpty()) {
                differences.addAll(ExpectedTree.compare(model.toCase(), TreeScanner.scan(rootfs.toString()), false));
            } else {
                differences.add("not refused: " + refusal);
            }
        } catch (ImageException e) {
            if (refusal.isEmpty()) {
                differences.add("refused: " + e.getMessage());
            } else if (!String.valueOf(e.getMessage()).contains(model.namesOfRefused())) {
                differences.add("not '" + model.namesOfRefused() + "' in: " + e.getMessage());
            }
            TreeScanner.scan(rootfs.toString()).keySet().stream()
                    .filter(x -> !x.equals("."))
                    .forEach(x -> differences.add("left behind: " + x));
        }
        remove(rootfs);
        return differences.isEmpty()
                ? ""
                : "seed " + seed + ": " + differences + " " + new String(Json.write(description), UTF_8);
    }

    private static void extract(Path archive, Path rootfs) throws IOException {
        List<Map<String, Integer>> map = List.of(Map.of("inside", 0, "count", 65_536));
        Map<String, @Nullable Object> parameters = new LinkedHashMap<>();
        parameters.put("archiveFileDescriptor", 0);
        parameters.put("rootDirectoryFileDescriptor", 1);
        parameters.put("limits", Map.of());
        parameters.put("archiveName", "ARCHIVE");
        parameters.put("selector", Map.of("architecture", "amd64"));
        parameters.put("uidMap", map);
        parameters.put("gidMap", map);
        Fd file = new Fd(Libc.openat(AT_FDCWD, name(archive).address(), Libc.O_RDONLY | Libc.O_CLOEXEC, 0));
        Fd root =
                new Fd(Libc.openTree(AT_FDCWD, name(rootfs).address(), Libc.OPEN_TREE_CLONE | Libc.OPEN_TREE_CLOEXEC));
        try {
            JobRequest request = JobRequest.of(JobRequest.Action.EXTRACT.method(), parameters);
            new JobRunner(request, x -> {}).run(file, root);
        } catch (VarlinkException e) {
            throw new IllegalStateException(e);
        }
    }

    private static CString name(Path path) {
        return CString.of(path.toString().getBytes(UTF_8));
    }
}
