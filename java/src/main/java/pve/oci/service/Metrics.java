package pve.oci.service;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** Counters and gauges, for GetMetrics. */
public final class Metrics {
    private record Name(String name, @Nullable String unit, String label, String labelValue)
            implements Comparable<Name> {
        @Override
        public int compareTo(Name other) {
            int byName = name.compareTo(other.name);
            return byName != 0 ? byName : labelValue.compareTo(other.labelValue);
        }
    }

    private final Map<Name, LongAdder> counters = new ConcurrentSkipListMap<>();
    private final Map<Name, LongSupplier> gauges = new ConcurrentSkipListMap<>();

    /** Adds to a counter without labels. */
    public void count(String name, @Nullable String unit, long amount) {
        counters.computeIfAbsent(new Name(name, unit, "", ""), key -> new LongAdder())
                .add(amount);
    }

    /** Adds one to a counter with one label, whose values are few. */
    public void count(String name, String label, String labelValue) {
        counters.computeIfAbsent(new Name(name, null, label, labelValue), key -> new LongAdder())
                .increment();
    }

    /** Adds a gauge, whose value is read when a client asks for it. */
    public void gauge(String name, @Nullable String unit, LongSupplier value) {
        gauges.put(new Name(name, unit, "", ""), value);
    }

    /** As the interface's type Metric. */
    List<@Nullable Object> describe() {
        List<@Nullable Object> metrics = new ArrayList<>();
        counters.forEach((name, value) -> metrics.add(metric(name, "counter", value.sum())));
        gauges.forEach((name, value) -> metrics.add(metric(name, "gauge", value.getAsLong())));
        return metrics;
    }

    private static Map<String, @Nullable Object> metric(Name name, String kind, long value) {
        Map<String, @Nullable Object> metric = new LinkedHashMap<>();
        metric.put("name", name.name());
        metric.put("kind", kind);
        metric.put("unit", name.unit());
        metric.put("value", (double) value);
        metric.put("labels", name.label().isEmpty() ? null : Map.of(name.label(), name.labelValue()));
        return metric;
    }
}
