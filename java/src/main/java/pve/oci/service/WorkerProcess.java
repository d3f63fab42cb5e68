package pve.oci.service;

/** The process of a worker. Any thread may call any method, at any time. */
public interface WorkerProcess {
    long pid();

    /** To be called when the worker is ready: then all processes that belong to it are there, and can be found. */
    void ready();

    /** Sets the nice value of all its threads: each thread has its own, and passes it on to threads it starts. */
    void setNice(int nice);

    /** Sends SIGKILL to everything that belongs to the worker; returns at once. */
    void kill();

    /**
     * Stops the worker where it is (SIGSTOP): until {@link #resume} it runs no code. False if that is not possible:
     * then it is to be killed.
     */
    boolean pause();

    /** Lets a worker that was stopped go on. */
    void resume();

    /** Waits until nothing of the worker is left; returns false after the timeout. */
    boolean awaitGone(long timeoutMillis);

    /** How it ended; {@link WorkerExit#UNKNOWN} while it runs. */
    WorkerExit exit();
}
