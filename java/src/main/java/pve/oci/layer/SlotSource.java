package pve.oci.layer;

/** Gives {@link DeferredWrites} the memory that holds the files' content. */
interface SlotSource {
    /** Work for threads that would otherwise wait for slots. It keeps slots occupied until it is done. */
    interface Helper extends SlotQueues.Chore {
        /** Whether it has threads of its own, so that nobody needs to help. */
        boolean hasThreads();

        /** Hands over the collected work, so that the slots it occupies become free. */
        void flush();
    }

    /** From now on the helper's work is done from slots of this source. */
    void use(Helper helper);

    /** The helper has something to do. */
    void wakeHelpers();

    /** Keeps the current slot's bytes where they are until it is released once more. */
    Slot retain();
}
