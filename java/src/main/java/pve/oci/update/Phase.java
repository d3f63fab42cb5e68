package pve.oci.update;

/**
 * How far an update or a rollback has come. Written to the journal before the first step of the phase; within a phase
 * each step can be seen in the tree, so a phase that was broken off is gone through again.
 */
public enum Phase {
    /** The new tree is complete; nothing of the old one was moved. */
    STAGED,
    /** Names that only the old tree has are moved out. */
    OUT,
    /** The names of the new tree are moved in, each after the old one of the same name was moved out. */
    IN,
    /** Directories that stay get the new image's attributes. */
    ATTRIBUTES,
    /** The new tree is in place; the container's configuration may still be the old one. */
    SWITCHED,
    /** Back: names of the new tree are moved out. */
    BACK_OUT,
    /** Back: names of the old tree are moved in. */
    BACK_IN,
    /** Back: directories that stayed get the old attributes. */
    BACK_ATTRIBUTES;

    /** A switch that was begun and not ended, in either direction. */
    public boolean isBroken() {
        return this != STAGED && this != SWITCHED;
    }

    boolean isBack() {
        return compareTo(BACK_OUT) >= 0;
    }
}
