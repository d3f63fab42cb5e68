package pve.oci.conformance;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.github.luben.zstd.Zstd;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.jspecify.annotations.Nullable;
import pve.oci.json.Json;
import pve.oci.tar.TarBuilder;

/**
 * A layer from its description: a list of entries, or an object with {@code entries} and what is to be done with the
 * archive. An entry is {@code ["file", "etc/hosts", "content", {"mode": "0600"}]}; README.md beside the cases tells the
 * rest.
 */
final class LayerBuilder {
    private static final byte[] NOTHING = {};

    private final TarBuilder tar = new TarBuilder();

    private LayerBuilder() {}

    /** The layer as its blob holds it, and before it was compressed. */
    static final class BuiltLayer {
        final byte[] blob;
        final byte[] content;

        private BuiltLayer(byte[] blob, byte[] content) {
            this.blob = blob;
            this.content = content;
        }
    }

    static BuiltLayer build(@Nullable Object description) {
        if (description instanceof List<?> entries) {
            byte[] content = new LayerBuilder().tar(entries, true);
            return new BuiltLayer(content, content);
        }
        Map<String, @Nullable Object> layer = Data.object(description);
        byte[] content;
        if (layer.containsKey("bytes")) {
            content = Data.bytes(layer.get("bytes"));
        } else {
            content = new LayerBuilder().tar(Data.list(layer.get("entries")), layer.get("end") == null);
        }
        content = join(cut(content, layer.get("cut")), Data.bytes(layer.get("append")));
        byte[] blob = compress(content, Data.text(layer.get("compression"), "none"));
        blob = join(cut(blob, layer.get("cutBlob")), Data.bytes(layer.get("appendBlob")));
        return new BuiltLayer(blob, content);
    }

    /** A number of bytes from the beginning to keep, or, negative, from the end to drop. */
    static byte[] cut(byte[] bytes, @Nullable Object length) {
        if (!(length instanceof Long n)) {
            return bytes;
        }
        return java.util.Arrays.copyOf(bytes, (int) (n < 0 ? bytes.length + n : n));
    }

    static byte[] join(byte[] first, byte[] second) {
        ByteArrayOutputStream both = new ByteArrayOutputStream();
        both.writeBytes(first);
        both.writeBytes(second);
        return both.toByteArray();
    }

    static byte[] compress(byte[] content, String compression) {
        return switch (compression) {
            case "none" -> content;
            case "gzip" -> gzip(content);
            // a member for each half, and an empty one between them
            case "gzip-members" ->
                join(join(gzip(cut(content, content.length / 2L)), gzip(NOTHING)), gzip(half(content)));
            case "zstd" -> Zstd.compress(content, 3);
            // a skippable frame before, between and behind two frames
            case "zstd-frames" ->
                join(
                        join(
                                join(skippable(), Zstd.compress(cut(content, content.length / 2L), 3)),
                                join(skippable(), Zstd.compress(half(content), 3))),
                        skippable());
            case "xz" -> join(HexFormat.of().parseHex("fd377a585a000004"), content);
            case "bzip2" -> join(HexFormat.of().parseHex("425a6839314159265359"), content);
            default -> throw new IllegalArgumentException(compression);
        };
    }

    private static byte[] half(byte[] content) {
        return java.util.Arrays.copyOfRange(content, content.length / 2, content.length);
    }

    private static byte[] skippable() {
        return HexFormat.of().parseHex("502a4d180400000001020304");
    }

    private static byte[] gzip(byte[] content) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(out)) {
            gzip.write(content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    private byte[] tar(List<?> entries, boolean hasEnd) {
        for (Object entry : entries) {
            List<?> parts = Data.list(entry);
            Object last = parts.get(parts.size() - 1);
            Map<String, @Nullable Object> options =
                    last instanceof Map<?, ?> map && parts.size() > 2 ? Json.asObject(map) : Map.of();
            long count = Data.number(options.get("count"), 1);
            for (long i = 0; i < count; i++) {
                add(parts, options, i);
            }
        }
        return hasEnd ? tar.build() : tar.buildWithoutEnd();
    }

    private void add(List<?> parts, Map<String, @Nullable Object> options, long number) {
        String type = String.valueOf(parts.get(0));
        boolean isLatin1 = Boolean.TRUE.equals(options.get("latin1"));
        byte[] name = name(parts.get(1), isLatin1, number);
        Object third = parts.size() > 2 ? parts.get(2) : null;
        describe(options, type);
        boolean isLink = type.equals("link") || type.equals("symlink");
        byte[] link = isLink ? name(third, isLatin1, number) : NOTHING;
        byte[] content = type.equals("file") || type.length() == 1 ? Data.bytes(third) : NOTHING;
        switch (type) {
            case "dir" -> tar.entry('5', name, NOTHING, NOTHING);
            case "link" -> tar.entry('1', name, link, NOTHING);
            case "symlink" -> tar.entry('2', name, link, NOTHING);
            case "fifo" -> tar.entry('6', name, NOTHING, NOTHING);
            case "char" -> tar.characterDevice(new String(name, UTF_8), device(third, 0), device(third, 1));
            case "block" -> tar.blockDevice(new String(name, UTF_8), device(third, 0), device(third, 1));
            case "file" -> tar.entry('0', name, NOTHING, content);
            case "longname" -> tar.longName(new String(name, UTF_8));
            case "longlink" -> tar.longLinkName(new String(name, UTF_8));
            case "pax" -> tar.paxHeader('x');
            case "global" -> tar.paxHeader('g');
            case "zero" -> tar.zeroBlock();
            // a typeflag
            default -> tar.entry(type.charAt(0), name, name(options.get("link"), isLatin1, number), content);
        }
    }

    private static long device(@Nullable Object numbers, int index) {
        return numbers instanceof List<?> list ? Data.number(list.get(index), 0) : 0;
    }

    private void describe(Map<String, @Nullable Object> options, String type) {
        String mode =
                Data.text(options.get("mode"), type.equals("dir") ? "0755" : type.equals("symlink") ? "0777" : "");
        if (!mode.isEmpty()) {
            tar.mode(Integer.parseInt(mode, 8));
        }
        tar.owner(Data.number(options.get("uid"), 0), Data.number(options.get("gid"), 0));
        if (options.get("mtime") instanceof String time) {
            tar.pax("mtime", time);
        } else {
            tar.mtime(Data.number(options.get("mtime"), TarBuilder.MTIME));
        }
        tar.claimedSize(Data.number(options.get("size"), -1));
        switch (Data.text(options.get("format"), "ustar")) {
            case "gnu" -> tar.gnu();
            case "v7" -> tar.v7();
            default -> tar.ustar();
        }
        Data.object(options.get("pax")).forEach((key, value) -> tar.pax(key, Data.bytes(value)));
        tar.paxBytes(Data.bytes(options.get("paxBytes")));
        Data.object(options.get("xattrs")).forEach((key, value) -> tar.xattr(key, Data.bytes(value)));
        Data.object(options.get("patch"))
                .forEach((offset, value) -> tar.patch(Integer.parseInt(offset), Data.bytes(value)));
    }

    private static byte[] name(@Nullable Object name, boolean isLatin1, long number) {
        if (name instanceof String text) {
            return text.replace("%d", Long.toString(number)).getBytes(isLatin1 ? ISO_8859_1 : UTF_8);
        }
        return Data.bytes(name);
    }
}
