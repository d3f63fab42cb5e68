package com.sun.jna;

/**
 * Stands in for JNA's class of this name, which extends SecurityManager. When that class is loaded, it goes through all
 * packages of all modules, which takes 5 ms of each worker's start. JNA only needs the class to find out its caller
 * where there is no StackWalker, before Java 9, and does without it if it cannot be used.
 */
final class SecurityManagerExposer {
    private SecurityManagerExposer() {}
}
