/**
 * Targets for fuzzing: each takes any bytes and breaks only when the program does. {@code t/fuzz} runs them under
 * Jazzer, which calls {@code fuzzerTestOneInput} and nothing of which is needed here; CorpusTest runs them on the
 * inputs that are kept.
 */
@NullMarked
package pve.oci.fuzz;

import org.jspecify.annotations.NullMarked;
