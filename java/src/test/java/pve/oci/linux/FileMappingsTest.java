package pve.oci.linux;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.StringReader;
import org.junit.jupiter.api.Test;

class FileMappingsTest {
    /** A library's code, constants, relocated data, what was swapped out, data; an archive; the heap; the modules. */
    private static final String SMAPS = """
            7f0000000000-7f0000002000 r-xp 00000000 fe:00 1     /usr/lib/a library.so
            Size:                  8 kB
            Rss:                   8 kB
            Anonymous:             0 kB
            AnonHugePages:         0 kB
            Swap:                  0 kB
            7f0000002000-7f0000003000 r--p 00002000 fe:00 1     /usr/lib/a library.so
            Anonymous:             0 kB
            Swap:                  0 kB
            7f0000003000-7f0000004000 r--p 00003000 fe:00 1     /usr/lib/a library.so
            Anonymous:             4 kB
            Swap:                  0 kB
            7f0000004000-7f0000005000 r--p 00004000 fe:00 1     /usr/lib/a library.so
            Anonymous:             0 kB
            Swap:                  4 kB
            7f0000005000-7f0000006000 rw-p 00004000 fe:00 1     /usr/lib/a library.so
            Anonymous:             0 kB
            Swap:                  0 kB
            800000000-800400000 r--p 00001000 fe:00 2           /usr/lib/archive.jsa
            Anonymous:             0 kB
            Swap:                  0 kB
            fde00000-fe100000 r--p 00000000 00:00 0\s
            Anonymous:             0 kB
            Swap:                  0 kB
            7f0000006000-7f0000007000 r--s 00000000 fe:00 3     /jdk/lib/modules
            Anonymous:             0 kB
            Swap:                  0 kB
            7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0     [vdso]
            Anonymous:             0 kB
            Swap:                  0 kB
            """;

    @Test
    void takesWhatOnlyShowsFiles() throws IOException {
        FileMappings mappings = new FileMappings("1000-2000");
        mappings.find(new BufferedReader(new StringReader(SMAPS)));
        assertEquals(
                "7f0000000000-7f0000002000,7f0000002000-7f0000003000,800000000-800400000"
                        + ",7f0000006000-7f0000007000",
                mappings.toString());
    }

    @Test
    void readsAList() {
        assertEquals("", new FileMappings("").toString());
        String list = "1000-2000,800000000-800400000,ffffffffff600000-ffffffffff601000";
        assertEquals(list, new FileMappings(list).toString());
    }

    @Test
    void thisProcessGoesOnWithoutThem() throws IOException {
        FileMappings mappings = new FileMappings("");
        mappings.find();
        assertTrue(mappings.toString().length() > 100, mappings.toString());
        mappings.giveBack();
        // the code of this has to be read again
        assertEquals(mappings.toString(), new FileMappings(mappings.toString()).toString());
    }
}
