package pve.oci.archive;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import pve.oci.oci.Platform;

class SelectorTest {
    @ParameterizedTest
    @CsvSource({
        "amd64, , linux, amd64, , true, true",
        "amd64, , linux, amd64, v1, true, true",
        "amd64, , linux, amd64, v3, true, false",
        "amd64, v3, linux, amd64, v3, true, true",
        "amd64, v3, linux, amd64, v2, false, true",
        "amd64, v1, linux, amd64, , true, true",
        "amd64, v2, linux, amd64, , false, true",
        "arm64, , linux, arm64, v8, true, true",
        "arm64, v8, linux, arm64, , true, true",
        "arm, , linux, arm, v7, true, false",
        "arm, v6, linux, arm, v7, false, true",
        "arm, v7, linux, arm, , false, true",
        "amd64, , windows, amd64, , false, true",
        "amd64, , linux, x86_64, , false, true",
        "amd64, , linux, unknown, , false, true",
    })
    void fits_by_os_architecture_and_variant(
            String architecture,
            String variant,
            String os,
            String offered,
            String offeredVariant,
            boolean fits,
            boolean isPlain) {
        Selector selector = new Selector(null, architecture, variant, null);
        Platform platform = new Platform(offered, os, offeredVariant);

        assertThat(selector.fitsArchitecture(platform)).isEqualTo(fits);
        assertThat(selector.isPlain(platform)).isEqualTo(isPlain);
    }
}
