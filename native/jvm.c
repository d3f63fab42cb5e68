/*
 * The JNI invocation API on a thread of our own. The primordial thread will not do: its stack is known
 * from /proc only, which a sandbox lacks, and java never runs main there either.
 */
#include "jvm.h"

#include <dlfcn.h>
#include <jni.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

typedef jint (*create_function)(JavaVM **, void **, void *);

#define CREATED_BEFORE "create Java virtual machine: this process, or one that it was forked from, has had one already"

struct run {
    const struct jvm_call *call;
    const char *failed;
};

const char *jvm_load(const char *library)
{
    /* Global, as java does: the JDK's other libraries take their symbols from it. */
    return dlopen(library, RTLD_NOW | RTLD_GLOBAL) == NULL ? dlerror() : NULL;
}

static const char *create_vm(const struct jvm_call *call, JavaVM **vm, JNIEnv **env)
{
    if (call->option_count > JVM_MAX_OPTIONS)
        return "count Java options: too many";

    void *library = dlopen(call->library, RTLD_NOW | RTLD_GLOBAL);
    if (library == NULL)
        return dlerror();
    void *symbol = dlsym(library, "JNI_CreateJavaVM");
    if (symbol == NULL)
        return dlerror();

    /* ISO C has no cast from an object pointer to a function pointer; POSIX promises the same size. */
    create_function create;
    memcpy(&create, &symbol, sizeof create);

    JavaVMOption options[JVM_MAX_OPTIONS];
    memset(options, 0, sizeof options);
    for (size_t i = 0; i < call->option_count; i++)
        options[i].optionString = call->options[i];
    JavaVMInitArgs init = {
        .version = JNI_VERSION_10,
        .nOptions = (jint) call->option_count,
        .options = options,
        .ignoreUnrecognized = JNI_FALSE,
    };
    void *created = NULL;
    jint result = create(vm, &created, &init);
    if (result == JNI_EEXIST)
        return CREATED_BEFORE;
    if (result != JNI_OK)
        return "create Java virtual machine: JNI_CreateJavaVM failed";
    *env = created;
    return NULL;
}

static jobjectArray make_arguments(JNIEnv *env, const struct jvm_call *call)
{
    jclass string = (*env)->FindClass(env, "java/lang/String");
    if (string == NULL)
        return NULL;
    size_t count = call->argument_count + (call->last_argument != NULL ? 1 : 0);
    jobjectArray array = (*env)->NewObjectArray(env, (jsize) count, string, NULL);
    for (size_t i = 0; array != NULL && i < count; i++) {
        const char *text = i < call->argument_count ? call->arguments[i] : call->last_argument();
        jstring argument = (*env)->NewStringUTF(env, text);
        if (argument == NULL)
            return NULL;
        (*env)->SetObjectArrayElement(env, array, (jsize) i, argument);
        (*env)->DeleteLocalRef(env, argument);
    }
    return array;
}

static const char *call_main(JNIEnv *env, const struct jvm_call *call)
{
    jclass class = (*env)->FindClass(env, call->main_class);
    if (class == NULL)
        return "find main class: not on the class path";
    jmethodID method = (*env)->GetStaticMethodID(env, class, "main", "([Ljava/lang/String;)V");
    if (method == NULL)
        return "find main method: no static void main(String[])";
    jobjectArray arguments = make_arguments(env, call);
    if (arguments == NULL)
        return "make arguments of main: out of memory";
    (*env)->CallStaticVoidMethod(env, class, method, arguments);
    return (*env)->ExceptionCheck(env) ? "run main: it threw an exception" : NULL;
}

static void *run_thread(void *argument)
{
    struct run *run = argument;
    JavaVM *vm = NULL;
    JNIEnv *env = NULL;

    run->failed = create_vm(run->call, &vm, &env);
    if (run->failed != NULL)
        return NULL;
    run->failed = call_main(env, run->call);
    if ((*env)->ExceptionCheck(env))
        (*env)->ExceptionDescribe(env);
    if ((*vm)->DestroyJavaVM(vm) != JNI_OK && run->failed == NULL)
        run->failed = "end Java virtual machine: DestroyJavaVM failed";
    return NULL;
}

const char *jvm_run(const struct jvm_call *call)
{
    struct run run = {.call = call, .failed = NULL};
    size_t stack_size = call->stack_size != 0 ? call->stack_size : JVM_DEFAULT_STACK;
    pthread_attr_t attributes;
    pthread_t thread;
    static bool is_created; /* a forked child has this, but none of the machine's threads: calls would hang */

    if (is_created)
        return CREATED_BEFORE;
    is_created = true;
    if (pthread_attr_init(&attributes) != 0)
        return "start Java thread: no attributes";
    if (pthread_attr_setstacksize(&attributes, stack_size) != 0)
        return "start Java thread: stack size refused";
    if (pthread_create(&thread, &attributes, run_thread, &run) != 0)
        return "start Java thread: pthread_create failed";
    (void) pthread_attr_destroy(&attributes);
    if (pthread_join(thread, NULL) != 0)
        return "wait for Java thread: pthread_join failed";
    return run.failed;
}
