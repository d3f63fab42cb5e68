package pve.oci.worker;

import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Hears of a job while it runs. */
public interface JobListener {
    /** Parameters of a reply that is not the last: {@code progress}, {@code existing}. */
    void notify(Map<String, @Nullable Object> parameters);
}
