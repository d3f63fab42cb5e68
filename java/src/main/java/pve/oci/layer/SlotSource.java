package pve.oci.layer;

/** Where the memory comes from that deferred files are written from. */
interface SlotSource {
    /** Work that whoever would have to wait for slots does instead; and that holds slots back. */
    interface Helper extends SlotQueues.Chore {
        /** It has threads of its own: nobody needs to help. */
        boolean hasThreads();

        /** Hands over what is collected: slots that it holds back would be missing. */
        void flush();
    }

    /** From now on the helper's work is done from slots of this source. */
    void use(Helper helper);

    /** The helper has something to do. */
    void wakeHelpers();

    /** Keeps the current slot's bytes where they are until it is released once more. */
    Slot retain();
}
