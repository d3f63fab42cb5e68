package pve.oci.archive;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import pve.oci.json.Json;
import pve.oci.json.JsonLimits;

/** t/41-archives.t tests PVE::LXC::OCI::Archive with the same list. */
class ImageNamesTest {
    private static Map<String, @Nullable Object> list() throws IOException {
        try (InputStream in = ImageNamesTest.class.getResourceAsStream("/image-names.json")) {
            return Json.parseObject(Objects.requireNonNull(in).readAllBytes(), JsonLimits.DEFAULT);
        }
    }

    private static List<?> names(String kind) throws IOException {
        return (List<?>) Objects.requireNonNull(list().get(kind));
    }

    @Test
    void knows_the_names_of_images_and_no_others() throws IOException {
        assertThat(names("image")).isNotEmpty().allMatch(x -> ImageNames.isOfImage((String) x));
        assertThat(names("other")).isNotEmpty().noneMatch(x -> ImageNames.isOfImage((String) x));
    }

    @Test
    void cleans_names() throws IOException {
        Map<?, ?> cleaned = (Map<?, ?>) Objects.requireNonNull(list().get("cleaned"));
        assertThat(cleaned)
                .isNotEmpty()
                .allSatisfy((name, clean) ->
                        assertThat(ImageNames.clean((String) name)).isEqualTo(clean));
    }
}
