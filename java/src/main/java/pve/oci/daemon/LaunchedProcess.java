package pve.oci.daemon;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import pve.oci.linux.ErrnoException;
import pve.oci.linux.Fd;
import pve.oci.linux.Processes;
import pve.oci.service.WorkerExit;
import pve.oci.service.WorkerProcess;

/**
 * A launcher and its child, which is the worker. The launcher exits when its child has died, so waiting for the
 * launcher is waiting for both.
 */
final class LaunchedProcess implements WorkerProcess {
    private static final long LAUNCHER_LEAVES_MILLIS = 2_000;

    private final Process launcher;

    /** A pidfd of the child, from when it is ready until it is gone. */
    private @Nullable Fd child;

    LaunchedProcess(Process launcher) {
        this.launcher = launcher;
    }

    @Override
    public long pid() {
        return launcher.pid();
    }

    boolean isAlive() {
        return launcher.isAlive();
    }

    @Override
    public synchronized void ready() {
        // a launcher that is gone has been reaped: its number may be another process's by now
        if (child == null && launcher.isAlive()) {
            child = openChild();
        }
    }

    /** Kills the child, and the launcher reaps it. If we killed the launcher, nobody could wait for the child. */
    @Override
    public synchronized void kill() {
        ready();
        if (child == null) {
            launcher.destroyForcibly();
            return;
        }
        boolean unused = signal(child, Processes.SIGKILL);
    }

    /** Stops the child alone: the launcher still ends both when the daemon dies. */
    @Override
    public synchronized boolean pause() {
        return child != null && signal(child, Processes.SIGSTOP);
    }

    @Override
    public synchronized void resume() {
        boolean unused = child != null && signal(child, Processes.SIGCONT);
    }

    /** False when the process is dead already. */
    private static boolean signal(Fd process, int signal) {
        try {
            Processes.pidfdSendSignal(process, signal);
            return true;
        } catch (ErrnoException e) {
            return false;
        }
    }

    private @Nullable Fd openChild() {
        for (long pid : children()) {
            Fd pidfd = Processes.pidfdOpen(pid);
            // the process is still our launcher's child, so the descriptor does not refer to a later one with the same
            // number
            if (pidfd != null && children().contains(pid) && launcher.isAlive()) {
                return pidfd;
            }
            if (pidfd != null) {
                pidfd.close();
            }
        }
        return null;
    }

    private synchronized void forgetChild() {
        if (child != null) {
            child.close();
            child = null;
        }
    }

    private List<Long> children() {
        List<Long> children = new ArrayList<>();
        try {
            Path list = Path.of("/proc/" + launcher.pid() + "/task/" + launcher.pid() + "/children");
            for (String pid : Files.readString(list).trim().split(" ", -1)) {
                if (!pid.isEmpty()) {
                    children.add(Long.parseLong(pid));
                }
            }
        } catch (IOException | NumberFormatException e) {
            // the launcher is gone
        }
        return children;
    }

    @Override
    public boolean awaitGone(long timeoutMillis) {
        try {
            boolean isGone = launcher.waitFor(Math.min(timeoutMillis, LAUNCHER_LEAVES_MILLIS), TimeUnit.MILLISECONDS);
            if (!isGone && timeoutMillis > LAUNCHER_LEAVES_MILLIS) {
                launcher.destroyForcibly();
                isGone = launcher.waitFor(timeoutMillis - LAUNCHER_LEAVES_MILLIS, TimeUnit.MILLISECONDS);
            }
            return isGone;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return !launcher.isAlive();
        } finally {
            forgetChild();
        }
    }

    @Override
    public WorkerExit exit() {
        return launcher.isAlive() ? WorkerExit.UNKNOWN : WorkerExit.ofStatus(launcher.exitValue());
    }

    @Override
    public void setNice(int nice) {
        setNice(launcher.pid(), nice);
        children().forEach(child -> setNice(child, nice));
    }

    private static void setNice(long pid, int nice) {
        try (DirectoryStream<Path> threads = Files.newDirectoryStream(Path.of("/proc/" + pid + "/task"))) {
            for (Path thread : threads) {
                Processes.setPriority(Long.parseLong(thread.getFileName().toString()), nice);
            }
        } catch (IOException | NumberFormatException e) {
            // it is gone
        }
    }
}
