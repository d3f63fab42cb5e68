package pve.oci.worker;

import com.sun.jna.Function;
import com.sun.jna.LastErrorException;
import com.sun.jna.Memory;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs in a worker's place inside the launcher's sandbox and makes the system calls that t/05-sandbox.t names: the
 * test decides what is tried, this class only tries it. One line in, one line out, over the connection on fd 0.
 *
 * <pre>
 * call NUMBER ARGUMENT...   n:DECIMAL, s:TEXT or z:SIZE (zeroed memory); answers "RESULT" or "-1 ERRNO"
 * fd                        the descriptor that came with this line
 * list PATH | load SONAME | exec PROGRAM | environment | cores | thread
 * exit STATUS | throw | crash
 * </pre>
 */
public final class SandboxProbe {
    private static final int BUFFER_SIZE = 4096;
    private static final int CONTROL_SIZE = 64;
    private static final int SOL_SOCKET = 1;

    private final Function syscall = NativeLibrary.getProcess().getFunction("syscall", Function.THROW_LAST_ERROR);
    private final Function recvmsg = NativeLibrary.getProcess().getFunction("recvmsg", Function.THROW_LAST_ERROR);
    private final Function write = NativeLibrary.getProcess().getFunction("write", Function.THROW_LAST_ERROR);
    private final Memory buffer = new Memory(BUFFER_SIZE);
    private final Memory control = new Memory(CONTROL_SIZE);
    private final Memory vector = new Memory(16);
    private final Memory header = new Memory(56);

    private SandboxProbe() {}

    public static void main(String[] arguments) throws Exception {
        SandboxProbe probe = new SandboxProbe();
        probe.answer("ready " + ProcessHandle.current().pid());
        probe.serve();
    }

    private void serve() throws Exception {
        while (true) {
            int received = receive();
            if (received <= 0) {
                return;
            }
            String line = new String(buffer.getByteArray(0, received), StandardCharsets.UTF_8).stripTrailing();
            answer(run(List.of(line.split(" ", -1))));
        }
    }

    /** struct msghdr as on 64-bit Linux: name, name length, vector, its length, control, its length, flags. */
    private int receive() {
        vector.setPointer(0, buffer);
        vector.setLong(8, BUFFER_SIZE);
        header.clear();
        header.setPointer(16, vector);
        header.setLong(24, 1);
        header.setPointer(32, control);
        header.setLong(40, CONTROL_SIZE);
        control.clear();
        return recvmsg.invokeInt(new Object[] {0, header, 0});
    }

    private void answer(String text) {
        byte[] bytes = (text + "\n").getBytes(StandardCharsets.UTF_8);
        Memory memory = new Memory(bytes.length);
        memory.write(0, bytes, 0, bytes.length);
        write.invokeLong(new Object[] {0, memory, (long) bytes.length});
    }

    private String run(List<String> words) throws Exception {
        return switch (words.get(0)) {
            case "call" -> call(words.subList(1, words.size()));
            case "fd" -> control.getInt(8) == SOL_SOCKET ? Integer.toString(control.getInt(16)) : "none";
            case "list" -> list(words.get(1));
            case "load" -> load(words.get(1));
            case "environment" -> String.join(" ", System.getenv().keySet());
            case "cores" -> Integer.toString(Runtime.getRuntime().availableProcessors());
            case "thread" -> thread();
            case "threads" -> Integer.toString(threads());
            case "exec" -> exec(words.get(1));
            case "exit" -> exit(Integer.parseInt(words.get(1)));
            case "throw" -> throw new IllegalStateException("asked to");
            case "crash" -> Integer.toString(new Pointer(16).getInt(0));
            default -> "unknown";
        };
    }

    /** As many as can be started. */
    private static int threads() {
        int count = 0;
        try {
            while (count < 10_000) {
                Thread thread = new Thread(() -> {
                    while (true) {
                        LockSupport.park();
                    }
                });
                thread.setDaemon(true);
                thread.start();
                count++;
            }
        } catch (OutOfMemoryError e) {
            // pthread_create failed
        }
        return count;
    }

    private static String list(String path) {
        String[] names = new File(path).list();
        if (names == null) {
            return "none";
        }
        Arrays.sort(names);
        return String.join(" ", names);
    }

    private String thread() throws InterruptedException {
        Thread thread = new Thread(buffer::clear);
        thread.start();
        thread.join();
        return "joined";
    }

    private static String exit(int status) {
        System.exit(status);
        return "";
    }

    private String call(List<String> words) {
        List<Object> arguments = new ArrayList<>();
        arguments.add(Long.parseLong(words.get(0)));
        for (String word : words.subList(1, words.size())) {
            arguments.add(argument(word));
        }
        try {
            return Long.toString(syscall.invokeLong(arguments.toArray()));
        } catch (LastErrorException e) {
            return "-1 " + e.getErrorCode();
        }
    }

    private static Object argument(String word) {
        String value = word.substring(2);
        return switch (word.charAt(0)) {
            case 'n' -> Long.parseLong(value);
            case 's' -> text(value);
            default -> zeroes(Long.parseLong(value));
        };
    }

    private static Memory text(String value) {
        Memory text = new Memory(value.length() + 1L);
        text.setString(0, value, "ISO-8859-1");
        return text;
    }

    private static Memory zeroes(long size) {
        Memory zeroes = new Memory(size);
        zeroes.clear();
        return zeroes;
    }

    private static String load(String soname) {
        try {
            NativeLibrary.getInstance(soname);
            return "loaded";
        } catch (UnsatisfiedLinkError e) {
            return "missing";
        }
    }

    private static String exec(String program) {
        try {
            return "status " + new ProcessBuilder(program).start().waitFor();
        } catch (IOException | InterruptedException e) {
            return "refused";
        }
    }
}
