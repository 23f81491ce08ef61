// SPDX-License-Identifier: Apache-2.0
// One real OpenSearch node for tests: SearchNode DIRECTORY PORT. Prints READY once it answers.
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

public class SearchNode extends Node {
    SearchNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
        super(environment, plugins, true);
    }

    static Class<? extends Plugin> plugin(String name) throws ClassNotFoundException {
        return Class.forName(name).asSubclass(Plugin.class);
    }

    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Files.createDirectories(home.resolve("config"));
        Settings settings = Settings.builder()
            .put("path.home", home.toString()).put("path.data", home.resolve("data").toString()).put("path.logs", home.resolve("logs").toString())
            .put("cluster.name", "dmarctap-test").put("node.name", "one").put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1").put("http.port", args[1]).put("transport.port", "0")
            .put("http.type", "netty4").put("transport.type", "netty4")
            .put("cluster.routing.allocation.disk.threshold_enabled", false).build();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "one");
        Node node = new SearchNode(environment, List.of(plugin("org.opensearch.transport.Netty4Plugin"),
            plugin("org.opensearch.analysis.common.CommonAnalysisPlugin"), plugin("org.opensearch.index.mapper.MapperExtrasPlugin")));
        node.start();
        System.out.println("READY");
        Thread.currentThread().join();
    }
}
