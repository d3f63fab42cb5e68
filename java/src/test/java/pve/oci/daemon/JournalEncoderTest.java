package pve.oci.daemon;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.Logger;
import ch.qos.logback.classic.LoggerContext;
import ch.qos.logback.classic.spi.LoggingEvent;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

class JournalEncoderTest {
    private static final String HOSTILE = "x\njob ended outcome=ok peer_uid=0\r\n<0>\u001b[2J\u009b1m\u202e";

    private static String encode(String message, @Nullable Throwable thrown) {
        return encode(false, message, thrown);
    }

    private static String encode(boolean isForTerminal, String message, @Nullable Throwable thrown) {
        Logger logger = new LoggerContext().getLogger("test");
        return new String(
                new JournalEncoder(isForTerminal)
                        .encode(new LoggingEvent("test", logger, Level.WARN, message, thrown, null)),
                UTF_8);
    }

    @Test
    void writes_an_event_as_one_line_with_its_priority() {
        assertThat(encode("hello", null)).isEqualTo("<4>hello\n");
        assertThat(encode(HOSTILE, null))
                .isEqualTo(
                        "<4>x\\x0ajob ended outcome=ok peer_uid=0\\x0d\\x0a<0>\\x1b[2J\\xc2\\x9b1m\\xe2\\x80\\xae\n");
    }

    @Test
    void names_the_program_on_a_terminal() {
        assertThat(encode(true, HOSTILE, null))
                .startsWith("pve-ocid: x\\x0ajob")
                .endsWith("\n")
                .hasLineCount(1);
    }

    @Test
    void makes_lines_of_stack_frames_but_not_of_what_an_exception_says() {
        String text = encode("failed", new IllegalStateException(HOSTILE, new RuntimeException(HOSTILE)));

        assertThat(text.lines()).allMatch(x -> x.matches("<4>(failed|(Caused by: )?java\\.lang\\..*|    at .*)"));
        assertThat(text).contains("Caused by: ").doesNotContain("\u001b");
    }
}
